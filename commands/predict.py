"""Predict images with a trained model: probabilities, decision, Grad-CAM pictures."""

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

from commands.image_files import find_files, read_all
from commands.tensorflow_loading import load_tensorflow
from helpers.evaluation.weighted_metrics import decide
from helpers.explaining.overlay import with_heatmap
from helpers.global_config import Config
from helpers.run_records.files import write_whole
from helpers.run_records.tables import to_csv
from helpers.settings.errors import UserError
from helpers.settings.types import USUAL_CLASS_NAMES

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


def predict(model_file: Path, paths: Sequence[Path], out: Path, *, crop: bool = False) -> None:
    """Predict images, print a table, and write predictions.csv and a picture per image.

    Two classes are told apart by the threshold; of more, the most probable is decided.

    Args:
        model_file: a `.keras` file of this project; `best.json` beside it names the classes and, of
            `best.keras`, the threshold.
        paths: image files, and folders whose images are found at any depth.
        out: folder for predictions.csv and the pictures, made when absent; in place of an earlier call's.
        crop: DICOM images are cut down to the breast, as the training images were.

    Raises:
        UserError: the model, best.json or an image cannot be used, or `out` cannot be written.
    """
    console = Console(highlight=False, soft_wrap=True)
    check_model_file(model_file)
    files = find_files(paths)
    threshold, origin = stored_threshold(model_file)
    model = load_model(model_file)
    classes = stored_class_names(model_file, max(2, model.output_shape[1]))
    called = called_classes(classes)
    with console.status("reading and predicting the images"):
        images = read_all(files, model.input_shape[1:], crop=crop)
        from preprocessing.feed.input_pipeline import evaluation_batches

        scores = model.predict(evaluation_batches(images, Config.EVALUATION_BATCH_SIZE), verbose=0)
    names = [f"{number:04d}_{file.stem}.png" for number, file in enumerate(files, 1)]
    table = tabulate(files, scores, threshold, called).assign(picture=names)
    stored: float | None = threshold
    by_class = {}
    if len(classes) > 2:
        columns = [f"probability_{name}" for name in classes]
        stored, by_class = None, dict(zip(columns, scores.T, strict=True))
    forget_pictures(out)
    write_whole(out / TABLE, to_csv(table.assign(**by_class, threshold=stored, note=CAUTION)))
    print_table(console, table)
    write_pictures(model, images, [out / name for name in names])
    rule = "decided: the most probable class" if stored is None else f"threshold {stored:g} ({origin})"
    console.print(f"{rule}; {CAUTION}", markup=False)
    console.print(f"  {out / TABLE}, and in the same folder a picture of each image", markup=False)


def tabulate(
    files: Sequence[Path], scores: NDArray[np.float32], threshold: float, called: Sequence[str]
) -> pd.DataFrame:
    """The decision on every image.

    Args:
        files: of the images.
        scores: (N, 1), probability of class 1; (N, k), of each class, where there are more than two.
        threshold: of two classes, scores at or above it count as class 1.
        called: what each class is called.

    Returns:
        Columns `file`, `probability` (of class 1; of more than two classes, of the decided one), `decision`.
    """
    known = scores[:, 0] if len(called) == 2 else scores
    decisions = [called[label] for label in decide(known.astype(np.float64), threshold)]
    return pd.DataFrame({"file": map(str, files), "probability": scores.max(axis=1), "decision": decisions})


def check_model_file(file: Path) -> None:
    """Refuse what is no `.keras` file, in words of our own.

    Raises:
        UserError: missing, or of another kind.
    """
    if not file.is_file():
        raise UserError(f"{file}: not found; expected a model such as models/<run>/best.keras")
    if file.suffix != ".keras":
        raise UserError(f"{file}: is no Keras model; expected a .keras file such as models/<run>/best.keras")


def load_model(file: Path) -> "keras.Model":
    """Load a model and check that it is one of this project: one output, or one a class.

    Raises:
        UserError: missing, damaged, or with another input or output.
    """
    check_model_file(file)
    load_tensorflow()
    import keras

    try:
        with Console().status("loading the model"):
            model = keras.models.load_model(file, compile=False)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{file}: is no Keras model that can be loaded: {reason}") from None
    shapes = (model.input_shape, model.output_shape)
    fits = len(shapes[0]) == 4 and None not in shapes[0][1:] and shapes[0][3] in (1, 3)
    fits = fits and len(shapes[1]) == 2 and shapes[1][1] not in (None, 2)
    if not fits:
        raise UserError(
            f"{file}: input {shapes[0]} and output {shapes[1]}, expected (None, H, W, 3 or 1) and (None, 1), "
            "or (None, k) of k > 2 classes; take a model that this project trained"
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
        if content.get("threshold") is None:  # null where there are more than two classes
            return WITHOUT_CHOICE, f"the default: {file} names none"
        return float(content["threshold"]), f"of {file}"
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{file}: no threshold can be read from it: {error}") from None


def called_classes(names: Sequence[str]) -> list[str]:
    """What each class is called: its number and its name."""
    return [name if name == str(label) else f"{label} {name}" for label, name in enumerate(names)]


def stored_class_names(model_file: Path, num_classes: int) -> tuple[str, ...]:
    """What each label means, as best.json beside the model says.

    Where it does not, the usual names of two classes, and of more their numbers.
    """
    try:
        names = json.loads(model_file.with_name("best.json").read_bytes())["classes"]
        if isinstance(names, list) and len(names) == num_classes:
            return tuple(map(str, names))
    except (OSError, ValueError, TypeError, KeyError):
        pass
    return USUAL_CLASS_NAMES if num_classes == 2 else tuple(map(str, range(num_classes)))


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
            picture = with_heatmap(np.asarray(large, np.uint8), cv2.resize(heatmap, size))
            write_whole(target, cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes())


def print_table(console: Console, predictions: pd.DataFrame) -> None:
    """Print the first predictions, and how many more there are."""
    table = Table("file", "probability", "decision", box=None, pad_edge=False)
    for row in predictions[:ROWS_SHOWN].itertuples():
        table.add_row(escape(str(row.file)), f"{row.probability:.4f}", str(row.decision))
    console.print(table)
    if len(predictions) > ROWS_SHOWN:
        console.print(f"… and {len(predictions) - ROWS_SHOWN} more in {TABLE}")
