"""Predictions of images: the table of decisions and the Grad-CAM pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from commands.image_files import find_files, read_all
from commands.trained_model import (
    called_classes,
    check_model_file,
    load_model,
    stored_class_names,
    stored_threshold,
)
from helpers.evaluation.metrics import decide
from helpers.explaining.overlay import with_heatmap
from helpers.global_config import Config
from helpers.run_records.files import write_whole
from helpers.run_records.tables import to_csv
from helpers.settings.errors import UserError
from helpers.settings.outside_text import from_cell, shown
from preprocessing.errors import name_some
from preprocessing.feed.input_pipeline import evaluation_batches

if TYPE_CHECKING:
    import keras

CAUTION = "research use only, no diagnosis"
ROWS_SHOWN = 40
TABLE = "predictions.csv"
PICTURE_NAME = r"\d{4,}_[^/\\]*\.png"
NOTHING_MARKED = "nothing in these images supports the class that Grad-CAM explains"
PICTURE_HEIGHT = 384  # pixels
PICTURES_AT_ONCE = 16


def predict(
    model_file: Path, paths: Sequence[Path], out: Path, *, crop: bool = False, with_pictures: bool = True,
    skip_unreadable: bool = False,
) -> None:  # fmt: skip
    """Predict images, print a table, and write predictions.csv and one picture per image.

    The threshold decides between two classes. With more, the most probable class is the decision.

    Args:
        model_file: a `.keras` file of this project. The `best.json` next to it names the classes and the
            threshold of `best.keras`.
        paths: image files, and folders whose images are found at any depth.
        out: folder for predictions.csv and the pictures. Those of an earlier call are replaced.
        crop: cut DICOM images down to the breast, for a model whose training images were cut.
        with_pictures: whether to write the pictures.
        skip_unreadable: leave out and list files that cannot be used, instead of refusing them.

    Raises:
        UserError: the model, best.json or an image cannot be used, or `out` cannot be written.
    """
    console = Console(highlight=False, soft_wrap=True)
    check_model_file(model_file)
    image_files = find_files(paths)
    threshold, origin = stored_threshold(model_file)
    model = load_model(model_file)
    classes = stored_class_names(model_file, max(2, model.output_shape[1]))
    labels = called_classes(classes)
    with console.status("reading and predicting the images"):
        image_files, images, left_out = read_all(
            image_files, model.input_shape[1:], crop=crop, skip_unreadable=skip_unreadable
        )
        batches = evaluation_batches(images, Config.EVALUATION_BATCH_SIZE)
        scores = np.concatenate([model.predict_on_batch(batch) for batch in batches])
    names = [f"{number:04d}_{file.stem[:50]}.png" for number, file in enumerate(image_files, 1)]
    table = tabulate(image_files, scores, threshold, labels).assign(picture=names if with_pictures else "")
    shown_threshold: float | None = threshold
    by_class = {}
    if len(classes) > 2:
        columns = [f"probability_{name}" for name in classes]
        shown_threshold, by_class = None, dict(zip(columns, scores.T, strict=True))
    forget_pictures(out)
    write_whole(out / TABLE, to_csv(table.assign(**by_class, threshold=shown_threshold, note=CAUTION)))
    print_table(console, table)
    if left_out:
        console.print(shown(f"left out, unreadable ({len(left_out)}): {name_some(left_out)}"))
    if with_pictures and (number := write_pictures(model, images, [out / name for name in names])):
        console.print(f"{number} of {len(images)} pictures mark no region: {NOTHING_MARKED}")
    by_threshold = f"threshold {threshold:g} ({origin})"
    rule = "decided: the most probable class" if shown_threshold is None else by_threshold
    console.print(shown(f"{rule}; {CAUTION}"))
    pictures = ", and in the same folder a picture of each image" if with_pictures else ""
    console.print(shown(f"  {out / TABLE}{pictures}"))


def tabulate(
    files: Sequence[Path], scores: NDArray[np.floating], threshold: float, labels: Sequence[str]
) -> pd.DataFrame:
    """Return the decision on every image.

    Args:
        files: the image files.
        scores: (N, 1), probability of class 1; or (N, k), one column per class, for k > 2 classes.
        threshold: for two classes, scores at or above it count as class 1.
        labels: number and name of each class.

    Returns:
        Columns `file`, `probability` (of class 1; with more classes, of the decided one), `decision`.
    """
    values = scores[:, 0] if len(labels) == 2 else scores
    decisions = [labels[label] for label in decide(values.astype(np.float64), threshold)]
    return pd.DataFrame({"file": map(str, files), "probability": scores.max(axis=1), "decision": decisions})


def forget_pictures(out: Path) -> None:
    """Delete the pictures that an earlier call listed in its table, and nothing else.

    Raises:
        UserError: the earlier table cannot be read, or a picture cannot be deleted.
    """
    try:
        earlier = pd.read_csv(out / TABLE, dtype=str, keep_default_na=False)["picture"].map(from_cell)
        for name in earlier[earlier.str.fullmatch(PICTURE_NAME)]:
            (out / name).unlink(missing_ok=True)
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{out / TABLE}: not written by an earlier call ({error}); choose another --out"
        ) from None


def write_pictures(model: "keras.Model", images: NDArray[np.uint8], targets: Sequence[Path]) -> int:
    """Write one PNG per image: the image and, to its right, the image with its Grad-CAM heatmap.

    Returns:
        The number of images in which nothing is marked.

    Raises:
        UserError: Grad-CAM cannot explain this model, or a file could not be written.
    """
    from helpers.explaining.grad_cam import grad_cam

    console = Console(stderr=True)
    starts = range(0, len(images), PICTURES_AT_ONCE)
    number_empty = 0
    for start in track(starts, "Grad-CAM pictures", console=console, disable=not console.is_terminal):
        part = images[start : start + PICTURES_AT_ONCE]
        heatmaps = grad_cam(model, np.divide(part, 255, dtype=np.float32))
        number_empty += int((heatmaps.max(axis=(1, 2)) == 0).sum())
        for image, heatmap, target in zip(part, heatmaps, targets[start:], strict=False):
            size = (round(PICTURE_HEIGHT * image.shape[1] / image.shape[0]), PICTURE_HEIGHT)
            large = cv2.resize(image, size).reshape(*size[::-1], -1)
            picture = with_heatmap(np.asarray(large, np.uint8), cv2.resize(heatmap, size))
            write_whole(target, cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes())
    return number_empty


def print_table(console: Console, predictions: pd.DataFrame) -> None:
    """Print the first predictions and the number of further ones."""
    table = Table("file", "probability", "decision", box=None, pad_edge=False)
    for row in predictions[:ROWS_SHOWN].itertuples():
        table.add_row(shown(row.file), f"{row.probability:.4f}", shown(row.decision))
    console.print(table)
    if len(predictions) > ROWS_SHOWN:
        console.print(f"… and {len(predictions) - ROWS_SHOWN} more in {TABLE}")
