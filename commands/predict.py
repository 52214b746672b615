"""Predict images with a trained model: probability, decision at its threshold, Grad-CAM pictures."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from helpers.explaining.overlay import beside_heat
from helpers.global_config import USUAL_CLASS_NAMES, Config, UserError
from helpers.run_records.files import write_whole
from helpers.run_records.tables import to_csv
from preprocessing.errors import name_some
from preprocessing.sources.image_folder import SUFFIXES, read_image
from preprocessing.sources.records import ImageShape, UnreadableImageError

if TYPE_CHECKING:
    import keras

# TensorFlow is imported where it is used, so that a wrong path is answered at once.

CAUTION = "research use only, no diagnosis"
WITHOUT_CHOICE = 0.5
ROWS_SHOWN = 40
TABLE = "predictions.csv"
PICTURE_NAME = r"\d{4,}_[^/\\]*\.png"
PICTURE_HEIGHT = 384  # pixels
PICTURES_AT_ONCE = 16
SILENT = 0  # log level of OpenCV: an unreadable file is reported once, by us


def predict(model_file: Path, paths: Sequence[Path], out: Path) -> None:
    """Predict images, print a table, and write predictions.csv and a picture per image.

    Args:
        model_file: a `.keras` file of this project; `best.json` beside it names the classes and, of
            `best.keras`, the threshold.
        paths: image files, and folders whose images are found at any depth.
        out: folder for predictions.csv and the pictures, made when absent; in place of an earlier call's.

    Raises:
        UserError: the model, best.json or an image cannot be used, or `out` cannot be written.
    """
    console = Console(highlight=False, soft_wrap=True)
    files = find_files(paths)
    threshold, origin = stored_threshold(model_file)
    model = load_model(model_file)
    images = read_all(files, model.input_shape[1:])
    from preprocessing.input_pipeline import evaluation_batches

    scores = model.predict(evaluation_batches(images, Config.EVALUATION_BATCH_SIZE), verbose=0).reshape(-1)
    called = [f"{label} {name}" for label, name in enumerate(stored_class_names(model_file))]
    decisions = [called[int(score >= threshold)] for score in scores.astype(np.float64)]
    names = [f"{number:04d}_{file.stem}.png" for number, file in enumerate(files, 1)]
    columns = {"file": map(str, files), "probability": scores, "decision": decisions, "picture": names}
    table = pd.DataFrame(columns)
    forget_pictures(out)
    write_whole(out / TABLE, to_csv(table.assign(threshold=threshold, note=CAUTION)))
    print_table(console, table)
    write_pictures(model, images, [out / name for name in names])
    console.print(f"threshold {threshold:g} ({origin}); {CAUTION}", markup=False)
    console.print(f"  {out / TABLE}, and in the same folder a picture of each image", markup=False)


def find_files(paths: Sequence[Path]) -> list[Path]:
    """The image files named, and those in the folders named, sorted within each.

    Raises:
        UserError: a path does not exist, or a folder holds no image.
    """
    files: list[Path] = []
    for path in paths:
        found = [path]
        if path.is_dir():
            found = [file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file()]
            found = sorted(file for file in found if not file.name.startswith("."))
        elif not path.exists():
            raise UserError(f"{path}: not found; expected an image file or a folder of images")
        if not found:
            raise UserError(f"{path}: no images in this folder ({', '.join(sorted(SUFFIXES))})")
        files += found
    return files


def load_model(file: Path) -> "keras.Model":
    """Load a model and check that it is one of this project.

    Raises:
        UserError: missing, damaged, or with another input or output.
    """
    if not file.is_file():
        raise UserError(f"{file}: not found; expected a model such as models/<run>/best.keras")
    import keras

    try:
        model = keras.models.load_model(file, compile=False)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{file}: is no Keras model that can be loaded: {reason}") from None
    shapes = (model.input_shape, model.output_shape)
    fits = len(shapes[0]) == 4 and None not in shapes[0][1:] and shapes[0][3] in (1, 3)
    fits = fits and shapes[1] == (None, 1)
    if not fits:
        raise UserError(
            f"{file}: input {shapes[0]} and output {shapes[1]}, expected (None, H, W, 3 or 1) and (None, 1); "
            "take a model that this project trained"
        )
    return model


def stored_threshold(model_file: Path) -> tuple[float, str]:
    """The threshold chosen for this very model when it was trained, else 0.5; and where it comes from.

    Raises:
        UserError: best.json cannot be read.
    """
    file = model_file.with_name("best.json")
    if model_file.name != "best.keras":
        return WITHOUT_CHOICE, "the default: only a best.keras has one, in the best.json beside it"
    if not file.exists():
        return WITHOUT_CHOICE, f"the default: there is no {file}"
    try:
        content: dict[str, Any] = json.loads(file.read_bytes())
        if "threshold" not in content:
            return WITHOUT_CHOICE, f"the default: {file} names none"
        return float(content["threshold"]), f"of {file}"
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{file}: no threshold can be read from it: {error}") from None


def stored_class_names(model_file: Path) -> tuple[str, ...]:
    """What each label means, as best.json beside the model says; the usual names where it does not."""
    try:
        negative, positive = json.loads(model_file.with_name("best.json").read_bytes())["classes"]
    except (OSError, ValueError, TypeError, KeyError):
        return USUAL_CLASS_NAMES
    return str(negative), str(positive)


def read_all(files: Sequence[Path], shape: ImageShape) -> NDArray[np.uint8]:
    """Read images as preprocessing does: uint8 (N, *shape), RGB or grey, 0-255.

    Raises:
        UserError: naming every file that is not an image that can be used.
    """
    images = np.empty((len(files), *shape), np.uint8)
    problems = []
    level = cv2.utils.logging.setLogLevel(SILENT)
    for image, file in zip(images, files, strict=True):
        try:
            image[...] = read_image(file, shape).pixels
        except UnreadableImageError as error:
            problems.append(f"{file} ({error})")
    cv2.utils.logging.setLogLevel(level)
    if problems:
        raise UserError(f"unreadable: {name_some(problems)}; move them away, or name other images")
    return images


def forget_pictures(out: Path) -> None:
    """Delete the pictures that an earlier call wrote into a folder, by its table; nothing else.

    Raises:
        UserError: the earlier table cannot be read, or a picture cannot be deleted.
    """
    try:
        earlier = pd.read_csv(out / TABLE, dtype=str, keep_default_na=False)["picture"]
        for name in earlier[earlier.str.fullmatch(PICTURE_NAME)]:
            (out / name).unlink(missing_ok=True)
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{out / TABLE}: not of an earlier call ({error}); take another --out") from None


def write_pictures(model: "keras.Model", images: NDArray[np.uint8], targets: Sequence[Path]) -> None:
    """Write for each image a PNG of the image and, to its right, the same under its Grad-CAM heat.

    Raises:
        UserError: the model has no layer that Grad-CAM explains, or a file could not be written.
    """
    from helpers.explaining.grad_cam import grad_cam

    console = Console(stderr=True)
    starts = range(0, len(images), PICTURES_AT_ONCE)
    for start in track(starts, "Grad-CAM pictures", console=console, disable=not console.is_terminal):
        part = images[start : start + PICTURES_AT_ONCE]
        heatmaps = grad_cam(model, np.divide(part, 255, dtype=np.float32))
        for image, heatmap, target in zip(part, heatmaps, targets[start:], strict=False):
            size = (round(PICTURE_HEIGHT * image.shape[1] / image.shape[0]), PICTURE_HEIGHT)
            large = cv2.resize(image, size).reshape(*size[::-1], -1)
            picture = beside_heat(np.asarray(large, np.uint8), cv2.resize(heatmap, size))
            write_whole(target, cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes())


def print_table(console: Console, predictions: pd.DataFrame) -> None:
    """Print the first predictions, and how many more there are."""
    table = Table("file", "probability", "decision", box=None, pad_edge=False)
    for row in predictions[:ROWS_SHOWN].itertuples():
        table.add_row(escape(str(row.file)), f"{row.probability:.4f}", str(row.decision))
    console.print(table)
    if len(predictions) > ROWS_SHOWN:
        console.print(f"… and {len(predictions) - ROWS_SHOWN} more in {TABLE}")
