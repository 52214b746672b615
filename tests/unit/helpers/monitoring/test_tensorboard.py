"""TensorBoard event files, read back record by record."""

import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog

from helpers.monitoring.tensorboard import TensorBoardObserver

IMAGES = np.linspace(0, 1, 2 * 4 * 5 * 3, dtype=np.float32).reshape(2, 4, 5, 3)


def train(folder: Path, first: int, auc: float) -> None:
    """Write rounds `first` to 3 of a run with one client."""
    observer = TensorBoardObserver(folder, {"EPOCHS": 3}, IMAGES[:0])
    observer.run_started("r", SimpleNamespace(round=first - 1), 3)
    observer.show_images("augmented", IMAGES, first)
    for number in range(first, 4):
        metrics = {"round": number, "roc_auc": auc, "val_loss": None}
        clients = [{"client": 7, "val_roc_auc": 0.5, "train_loss": 0.25}]
        observer.round_finished(SimpleNamespace(metrics=metrics, clients=clients))
    observer.close()


def events(folder: Path) -> Iterator[Any]:
    """Yield the events of a folder; a record is length, checksum, event, checksum."""
    for file in sorted(folder.glob("events.out.tfevents.*")):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            yield Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [
        (event.step, round(value.simple_value, 3))
        for event in events(folder) for value in event.summary.value if value.tag == tag
    ]  # fmt: skip


def picture(folder: Path, flag: int = cv2.IMREAD_UNCHANGED) -> np.ndarray:
    """Return the picture of augmented images."""
    values = {value.tag: value for event in events(folder / "pictures") for value in event.summary.value}
    png = np.frombuffer(values["views/augmented"].image.encoded_image_string, np.uint8)
    return cv2.imdecode(png, flag)


def test_scalars_per_round_and_client(tmp_path):
    train(tmp_path, 1, 0.6)
    assert scalars(tmp_path / "averaged", "validation/roc_auc") == [(1, 0.6), (2, 0.6), (3, 0.6)]
    assert scalars(tmp_path / "client-7", "validation/roc_auc") == [(1, 0.5), (2, 0.5), (3, 0.5)]
    assert scalars(tmp_path / "client-7", "loss/training") == [(1, 0.25), (2, 0.25), (3, 0.25)]
    assert scalars(tmp_path / "averaged", "loss/validation") == []  # undefined values are not drawn


def test_settings_as_text_and_images_as_they_are(tmp_path):
    train(tmp_path, 1, 0.6)
    values = {value.tag: value for event in events(tmp_path / "averaged") for value in event.summary.value}
    assert b"| EPOCHS | 3 |" in values["settings"].tensor.string_val[0]
    assert values["settings"].metadata.plugin_data.plugin_name == "text"
    shown = picture(tmp_path, cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(shown, (np.hstack(IMAGES) * 255).round().astype(np.uint8))


def test_there_is_one_picture_after_the_scalars_in_a_part_of_its_own(tmp_path):
    train(tmp_path, 1, 0.6)
    of_scalars = {value.tag for event in events(tmp_path / "averaged") for value in event.summary.value}
    of_pictures = [value.tag for event in events(tmp_path / "pictures") for value in event.summary.value]
    assert of_pictures == ["views/augmented"]
    assert max(tag for tag in of_scalars if "/" in tag) < "views/augmented"  # TensorBoard sorts by tag


def test_images_are_in_rows_and_the_rest_is_black(tmp_path):
    images = np.full((5, 2, 3, 1), 200, np.uint8)
    TensorBoardObserver(tmp_path, {}, images).run_started("r", SimpleNamespace(round=0), 1)
    shown = picture(tmp_path)
    assert shown.shape == (4, 12)
    assert shown[:2].min() == shown[2:, :3].min() == 200
    assert shown[2:, 3:].max() == 0


def test_without_pictures_there_is_no_such_part(tmp_path):
    TensorBoardObserver(tmp_path, {}, IMAGES[:0]).run_started("r", SimpleNamespace(round=0), 1)
    assert not (tmp_path / "pictures").exists()


def test_gray_images_are_shown_gray(tmp_path):
    gray = IMAGES[:1, ..., :1]
    TensorBoardObserver(tmp_path, {}, gray).run_started("r", SimpleNamespace(round=0), 1)
    shown = picture(tmp_path)
    np.testing.assert_array_equal(shown, (gray[0, ..., 0] * 255).round().astype(np.uint8))


def test_a_resumed_run_replaces_what_was_written_of_its_rounds(tmp_path):
    train(tmp_path, 1, 0.6)
    train(tmp_path, 3, 0.9)
    starts = [e.step for e in events(tmp_path / "averaged") if e.session_log.status == SessionLog.START]
    assert starts == [1, 3]  # TensorBoard drops earlier events from that step on
    assert scalars(tmp_path / "averaged", "validation/roc_auc")[-1] == (3, 0.9)


def test_a_failed_write_does_not_end_the_training_and_is_retried(tmp_path, caplog):
    (tmp_path / "averaged").touch()  # a file where the folder should be
    observer = TensorBoardObserver(tmp_path, {}, IMAGES[:0])
    observer.run_started("r", SimpleNamespace(round=0), 2)
    observer.round_finished(SimpleNamespace(metrics={"round": 1, "roc_auc": 0.6}, clients=[]))
    assert "TensorBoard's files could not be written" in caplog.text
    (tmp_path / "averaged").unlink()
    observer.round_finished(SimpleNamespace(metrics={"round": 2, "roc_auc": 0.7}, clients=[]))
    first, *_ = events(tmp_path / "averaged")
    assert first.file_version == "brain.Event:2"
    assert scalars(tmp_path / "averaged", "validation/roc_auc") == [(2, 0.7)]


def test_tensorflow_is_not_imported(tmp_path):
    code = (
        "import sys; import numpy as np; from pathlib import Path; from types import SimpleNamespace\n"
        "from helpers.monitoring.tensorboard import TensorBoardObserver\n"
        "assert 'tensorboard' not in sys.modules\n"
        f"TensorBoardObserver(Path({str(tmp_path)!r}), {{}}, np.zeros((1, 4, 4, 3)))"
        ".run_started('r', SimpleNamespace(round=0), 1)\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    root = Path(__file__).resolve().parents[4]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(events(tmp_path / "averaged"))
