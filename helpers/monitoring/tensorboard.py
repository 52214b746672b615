"""Observer that writes TensorBoard event files: scalars per round and client, augmented images, settings.

It uses TensorBoard's own record writer, so TensorFlow is not imported. To view all runs:
`tensorboard --logdir metrics`.
"""

import logging
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.federated.observers import Observer
from helpers.federated.results import RoundResult, RunState

logger = logging.getLogger(__name__)

AVERAGED, PICTURES = "averaged", "pictures"
"""The parts of a run that TensorBoard can show or hide, in addition to one for each client."""
PER_ROW = 4
"""Number of images next to each other in the picture of augmented images."""
ROUND_TAGS = {  # columns of rounds.csv: tags; curves of the same tag share a diagram
    "train_loss": "loss/training",
    "val_loss": "loss/validation",
    "roc_auc": "validation/roc_auc",
    "accuracy": "validation/accuracy",
    "precision": "validation/precision",
    "recall": "validation/recall",
    "f1_score": "validation/f1_score",
    "average_precision": "validation/average_precision",
    "specificity": "validation/specificity",
    "balanced_accuracy": "validation/balanced_accuracy",
    "brier_score": "validation/brier_score",
    "calibration_error": "validation/calibration_error",
    "seconds": "time/seconds",
}
CLIENT_TAGS = {
    "train_loss": "loss/training",
    "val_loss": "loss/validation",
    "val_roc_auc": "validation/roc_auc",
    "val_accuracy": "validation/accuracy",
    "val_recall": "validation/recall",
    "val_specificity": "validation/specificity",
    "seconds": "time/seconds",
}


class TensorBoardObserver(Observer):
    """Writes a run's event files; TensorBoard shows the averaged model and each client as separate runs.

    Args:
        folder: such as metrics/<run>/tensorboard; created when needed.
        settings: the run's settings, shown as text.
        examples: augmented training images, shown once; see `show_images`.
    """

    def __init__(
        self, folder: Path, settings: dict[str, Any], examples: Iterable[NDArray[np.generic]]
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._examples = examples
        self._begun: dict[str, Path] = {}
        self._first_round = 1

    def run_started(self, run: str, state: RunState, rounds: int) -> None:
        self._first_round = state.round + 1
        rows = [f"| {name} | {value} |" for name, value in self._settings.items()]
        table = "\n".join(["| setting | value |", "|-|-|", *rows])
        self._write(AVERAGED, state.round, [_text("settings", table)])
        self.show_images("augmented", self._examples, state.round)

    def round_finished(self, result: RoundResult) -> None:
        step = int(result.metrics["round"])
        self._write(AVERAGED, step, _scalars(result.metrics, ROUND_TAGS))
        for row in result.clients:
            self._write(f"client-{row['client']}", step, _scalars(row, CLIENT_TAGS))

    def show_images(self, name: str, images: Iterable[NDArray[np.generic]], step: int = 0) -> None:
        """Write images, such as an augmented batch, side by side in one picture, below the curves.

        Args:
            name: of the picture.
            images: each uint8 0-255 or float 0-1, (H, W, 3) RGB or (H, W, 1) gray, all of one size.
            step: the round.
        """
        if pictures := list(images):
            self._write(PICTURES, step, [_image(f"views/{name}", _sheet(pictures))])

    def _write(self, part: str, step: int, values: list[Any]) -> None:
        """Append values to the event file of a part; log a failure, as it must not end a training."""
        try:
            self._append(part, step, values)
        except OSError:
            logger.exception("TensorBoard's files could not be written")

    def _append(self, part: str, step: int, values: list[Any]) -> None:
        """Append to the file and close it: thousands of clients would be too many open files."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        now = time.time()
        events = [Event(wall_time=now, step=step, summary=Summary(value=values))] if values else []
        path = self._begun.get(part) or self._folder / part / f"events.out.tfevents.{now:.6f}"
        if part not in self._begun:
            path.parent.mkdir(parents=True, exist_ok=True)
            # TensorBoard then drops what an interrupted session wrote about these rounds.
            restart = SessionLog(status=SessionLog.START)
            begin = Event(wall_time=now, step=self._first_round, session_log=restart)
            events = [Event(wall_time=now, file_version="brain.Event:2"), begin, *events]
        with path.open("ab") as file:
            writer = RecordWriter(file)
            for event in events:
                writer.write(event.SerializeToString())
            writer.flush()
        self._begun[part] = path


def _scalars(row: dict[str, Any], tags: dict[str, str]) -> list[Any]:
    """Return the defined values of a row as scalars."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    known = {tag: row.get(name) for name, tag in tags.items()}
    return [Summary.Value(tag=tag, simple_value=value) for tag, value in known.items() if value is not None]


def _text(tag: str, markdown: str) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.text.metadata import create_summary_metadata
    from tensorboard.util.tensor_util import make_tensor_proto

    tensor = make_tensor_proto(np.array([markdown.encode()], dtype=object))
    return Summary.Value(tag=tag, tensor=tensor, metadata=create_summary_metadata("", ""))


def _sheet(images: list[NDArray[np.generic]]) -> NDArray[np.uint8]:
    """Return images of one size in rows of PER_ROW; the rest of the last row is black."""
    pixels = [
        image if image.dtype == np.uint8 else (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
        for image in images
    ]
    per_row = min(PER_ROW, len(pixels))
    pixels += [np.zeros_like(pixels[0])] * (-len(pixels) % per_row)
    rows = [np.hstack(pixels[start : start + per_row]) for start in range(0, len(pixels), per_row)]
    return np.vstack(rows).astype(np.uint8)


def _image(tag: str, pixels: NDArray[np.uint8]) -> Any:
    import cv2
    from tensorboard.compat.proto.summary_pb2 import Summary

    height, width, channels = pixels.shape
    _, data = cv2.imencode(".png", np.ascontiguousarray(pixels[..., ::-1]))
    png = Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=data.tobytes())
    return Summary.Value(tag=tag, image=png)
