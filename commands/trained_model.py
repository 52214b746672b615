"""A trained model file: the model, and the threshold and class names in the best.json next to it."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from commands.tensorflow_loading import load_tensorflow
from helpers.settings.errors import UserError
from helpers.settings.types import USUAL_CLASS_NAMES

if TYPE_CHECKING:
    import keras

# TensorFlow is imported where it is used, so that a wrong path is answered at once.

DEFAULT_THRESHOLD = 0.5
MOST_TEXT = 64 << 20
"""Bytes that the description of a model may have."""
MOST_UNPACKED = 20
"""A model's file may grow by this factor when it is unpacked; weights hardly shrink."""


def model_path(name: str, models_dir: Path) -> Path:
    """Return the path of a model: best.keras of a run, by its name or its folder, or the named file."""
    file = Path(name)
    of_run = (models_dir / name / "best.keras", file / "best.keras")
    return file if file.is_file() else next((path for path in of_run if path.is_file()), file)


def check_model_file(file: Path) -> None:
    """Check that a file is there and is a `.keras` file.

    Raises:
        UserError: missing, or of another kind.
    """
    if not file.is_file():
        raise UserError(
            f"{file}: not found; expected a finished run, or a model such as models/<run>/best.keras"
        )
    if file.suffix != ".keras":
        raise UserError(f"{file}: not a Keras model; expected a .keras file such as models/<run>/best.keras")


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, cut; its type where it has none."""
    return next(iter(str(error).splitlines()), "")[:300] or type(error).__name__


def _check_size(file: Path) -> None:
    """Check that a model file is an archive whose parts unpack to a size that a model can have.

    Raises:
        UserError: it is no archive, or is much larger when unpacked.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            sizes = {part.filename: part.file_size for part in archive.infolist()}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{file}: cannot be loaded as a Keras model: {first_line(error)}") from None
    of_text = sum(size for name, size in sizes.items() if name.endswith(".json"))
    if of_text > MOST_TEXT or sum(sizes.values()) > MOST_UNPACKED * file.stat().st_size + MOST_TEXT:
        raise UserError(
            f"{file}: cannot be loaded as a Keras model: it unpacks to {sum(sizes.values()):,} bytes, "
            f"of which {of_text:,} describe its layers"
        )


def open_keras(file: Path) -> "keras.Model":
    """Load any Keras model.

    Raises:
        UserError: missing or damaged.
    """
    check_model_file(file)
    _check_size(file)
    load_tensorflow()
    import keras

    try:
        with Console().status("loading the model"):
            return keras.models.load_model(file, compile=False)
    except Exception as error:  # a damaged file makes Keras raise anything
        raise UserError(f"{file}: cannot be loaded as a Keras model: {first_line(error)}") from error


def load_model(file: Path) -> "keras.Model":
    """Load a model and check that it is one of this project: one output, or one per class.

    Raises:
        UserError: missing, damaged, or with another input or output.
    """
    model = open_keras(file)
    shapes = (model.input_shape, model.output_shape)
    fits = len(shapes[0]) == 4 and None not in shapes[0][1:] and shapes[0][3] in (1, 3)
    fits = fits and len(shapes[1]) == 2 and shapes[1][1] not in (None, 2)
    if not fits:
        raise UserError(
            f"{file}: input {shapes[0]} and output {shapes[1]}, expected (None, H, W, 3 or 1) and (None, 1), "
            "or (None, k) of k > 2 classes; take a model that this project trained"
        )
    return model


def stored_facts(model_file: Path) -> dict[str, Any]:
    """Return the content of the best.json next to a model file; empty if there is none.

    Raises:
        UserError: it cannot be read.
    """
    file = model_file.with_name("best.json")
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file}: cannot be read: {error}") from None
    return content if isinstance(content, dict) else {}


def stored_threshold(model_file: Path) -> tuple[float, str]:
    """Return the threshold chosen for this model in its training, else 0.5, and where it comes from.

    Raises:
        UserError: best.json cannot be read.
    """
    file = model_file.with_name("best.json")
    if model_file.name != "best.keras":
        return DEFAULT_THRESHOLD, "the default: only a best.keras has one, in the best.json next to it"
    if not file.exists():
        return DEFAULT_THRESHOLD, f"the default: {file} does not exist"
    try:
        content: dict[str, Any] = json.loads(file.read_bytes())
        if content.get("threshold") is None:  # null where there are more than two classes
            return DEFAULT_THRESHOLD, f"the default: {file} has none"
        return float(content["threshold"]), f"of {file}"
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{file}: its threshold cannot be read: {error}") from None


def called_classes(names: Sequence[str]) -> list[str]:
    """Return the labels of the classes: number and name."""
    return [name if name == str(label) else f"{label} {name}" for label, name in enumerate(names)]


def stored_class_names(model_file: Path, num_classes: int) -> tuple[str, ...]:
    """Return the class names of a model in order of the labels, from the best.json next to it.

    Where that has none, two classes have their usual names, more have their numbers.
    """
    try:
        names = json.loads(model_file.with_name("best.json").read_bytes())["classes"]
        if isinstance(names, list) and len(names) == num_classes:
            return tuple(map(str, names))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        pass
    return USUAL_CLASS_NAMES if num_classes == 2 else tuple(map(str, range(num_classes)))
