"""`run.py export`: a trained model in other formats, each checked against Keras on the same images."""

import importlib.util
import json
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from commands.scorers import OWN_PIXELS
from commands.trained_model import (
    check_model_file,
    first_line,
    load_model,
    model_path,
    stored_class_names,
    stored_facts,
    stored_threshold,
)
from helpers.global_config import Config
from helpers.settings.command_line import ArgumentParser
from helpers.settings.errors import UserError, how_to_install
from helpers.settings.outside_text import shown
from preprocessing.errors import PreprocessingError
from preprocessing.feed.prepared_data import PreparedData

if TYPE_CHECKING:
    import keras

# TensorFlow is imported where it is used, so that a wrong path is answered at once.

Images = NDArray[np.float32]

TOLERANCE = 1e-4  # of a score
NUM_IMAGES = 16
SPLIT = "val"
SEED = 0
ONNX_PACKAGES = ("tf2onnx", "onnx", "onnxruntime")


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    parser = ArgumentParser(
        prog="run.py export",
        description="Writes a trained model in other formats and checks each against Keras.",
    )
    parser.add_argument("model", metavar="MODEL", help="name of a run, or such as models/first/best.keras")
    parser.add_argument(
        "--format", nargs="+", choices=list(FORMATS), default=["savedmodel"], help="formats [savedmodel]"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write to [next to the model]")
    options = parser.parse_args(arguments)
    export(model_path(options.model, Config.load().MODELS_DIR), options.format, options.out)
    return 0


def export(model_file: Path, formats: Sequence[str], out: Path | None) -> None:
    """Write a model in other formats and print how much each differs from Keras.

    Args:
        model_file: a `.keras` file of this project.
        formats: keys of FORMATS.
        out: folder to write to; None is the folder of the model.

    Raises:
        UserError: the model cannot be used, packages are missing, an export differs from Keras (it is
            deleted), or `out` cannot be written.
    """
    console, errors = Console(highlight=False, soft_wrap=True), Console(stderr=True)
    formats = list(dict.fromkeys(formats))
    out = out or model_file.parent
    check_model_file(model_file)
    threshold, origin = stored_threshold(model_file)
    if "onnx" in formats:
        check_onnx_packages()
    with errors.status(shown(f"loading {model_file}")):
        model = load_model(model_file)
        metadata = stored_metadata(model_file, max(2, model.output_shape[1]))
        images, description = checking_images(model.input_shape[1:])
        expected = np.asarray(model(images, training=False))
    for kind in formats:
        target = out / f"{model_file.stem}.{kind}"
        with errors.status(shown(f"writing and checking {target}")):
            difference = write_checked(model, kind, target, images, expected, metadata)
        scored = f"scored {expected.min():.3f} to {expected.max():.3f}"
        text = f"{target}: differs from Keras by {difference:.1e} at most, on {description}, {scored}"
        console.print(shown(text))
    names = stored_class_names(model_file, max(2, expected.shape[1]))
    if len(names) == 2:
        rule = f"scores of at least {threshold:g} mean {names[1]} ({origin})"
    else:
        rule = f"the highest of the {len(names)} scores decides, in this order: {', '.join(names)}"
    console.print(shown(rule))


def check_onnx_packages() -> None:
    """Check that the packages that write and run ONNX files are installed.

    Raises:
        UserError: names the missing packages and how to install them.
    """
    missing = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"--format onnx: needs {', '.join(missing)}; {how_to_install('export')}")


def checking_images(shape: tuple[int, int, int]) -> tuple[Images, str]:
    """Return images to check with, and a description: prepared validation images, else noise.

    Args:
        shape: height, width and channels of the model's input.

    Returns:
        float32 (N, *shape), in [0, 1].
    """
    folder = Config.load().PREPROCESSED_DIR
    try:
        images = PreparedData.open(folder).images(SPLIT)
    except PreprocessingError:
        images = np.empty((0, *shape), np.uint8)
    if len(images) and images.shape[1:] == shape:
        rows = np.linspace(0, len(images) - 1, min(NUM_IMAGES, len(images))).astype(int)
        return np.divide(images[rows], 255, dtype=np.float32), f"{len(rows)} validation images of {folder}"
    noise = np.random.default_rng(SEED).random((NUM_IMAGES, *shape), np.float32)
    return noise, f"{NUM_IMAGES} noise images ({folder} has none of {'x'.join(map(str, shape))})"


def write_checked(
    model: "keras.Model",
    kind: str,
    target: Path,
    images: Images,
    expected: NDArray[np.generic],
    metadata: Mapping[str, Any],
) -> float:
    """Export a model, whole or not at all; return the largest difference of its scores from those of Keras.

    An ONNX file also gets the metadata.

    Raises:
        UserError: they differ by more than TOLERANCE, the format does not support a layer, or `target` is
            not an earlier export or cannot be written.
    """
    write, read = FORMATS[kind]
    if target.is_dir() and not (target / "saved_model.pb").is_file():
        raise UserError(f"{target}: exists and is not a SavedModel; move it away or choose another --out")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as folder:
            scratch = Path(folder) / target.name
            write(model, scratch)
            if kind == "onnx":
                add_metadata(scratch, metadata)
            score = read(scratch)
            scores = np.concatenate([score(images[:1]), score(images[1:])])  # two sizes of a batch
            difference = float(np.abs(scores.reshape(expected.shape) - expected).max())
            if not difference <= TOLERANCE:
                raise UserError(
                    f"{target}: not written: its scores differ from Keras by up to {difference:.1e}, "
                    f"{TOLERANCE:g} is allowed; use the .keras file or another format"
                )
            if target.is_dir():
                target.replace(Path(folder) / "earlier")
            scratch.replace(target)
    except OSError as error:
        raise UserError(f"{target} could not be written: {error.strerror or error}") from error
    except UserError:
        raise
    except Exception as error:  # converter and runtime have exceptions of their own
        raise UserError(f"{target}: this network cannot be written as {kind}: {first_line(error)}") from error
    return difference


def write_saved_model(model: "keras.Model", folder: Path) -> None:
    model.export(folder, format="tf_saved_model", verbose=False)


def read_saved_model(folder: Path) -> Callable[[Images], NDArray[Any]]:
    import tensorflow as tf

    served = tf.saved_model.load(folder)
    return lambda images: served.serve(images).numpy()


def write_onnx(model: "keras.Model", file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras patches tf2onnx for NumPy 2
        model.export(file, format="onnx", verbose=False)


def stored_metadata(model_file: Path, num_classes: int) -> dict[str, Any]:
    """Return what a user of an ONNX file must know of the training: classes, threshold, pixels, origin."""
    facts = stored_facts(model_file)
    metadata = {name: facts[name] for name in ("run", "data_digest", "threshold_rule") if facts.get(name)}
    threshold, origin = stored_threshold(model_file)
    if num_classes == 2 and not origin.startswith("the default"):
        metadata["threshold"] = threshold
    return metadata | {"classes": stored_class_names(model_file, num_classes), "pixels": OWN_PIXELS}


def add_metadata(file: Path, metadata: Mapping[str, Any]) -> None:
    """Write metadata into an ONNX file, each value as JSON."""
    import onnx

    model = onnx.load(file)
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in metadata.items()})
    onnx.save(model, file)


def read_onnx(file: Path) -> Callable[[Images], NDArray[Any]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


FORMATS = {"savedmodel": (write_saved_model, read_saved_model), "onnx": (write_onnx, read_onnx)}
"""Per format, the function that writes a file and the one that reads it as images → scores."""
