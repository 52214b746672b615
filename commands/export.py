"""`python run.py export`: a trained model in other formats, each checked against Keras on the same images."""

import importlib.util
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape

from commands.predict import check_model_file, load_model, stored_class_names, stored_threshold
from helpers.global_config import Config
from helpers.settings.errors import UserError
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


def export(model_file: Path, formats: Sequence[str], out: Path | None) -> None:
    """Write a model in other formats, and print how far each is from Keras.

    Args:
        model_file: a `.keras` file of this project.
        formats: keys of FORMATS.
        out: folder for what is written, made when absent; None: that of the model.

    Raises:
        UserError: the model cannot be used, packages are missing, what was exported differs from Keras
            (nothing of it is left), or `out` cannot be written.
    """
    console, errors = Console(highlight=False, soft_wrap=True), Console(stderr=True)
    formats = list(dict.fromkeys(formats))
    out = out or model_file.parent
    check_model_file(model_file)
    threshold, origin = stored_threshold(model_file)
    if "onnx" in formats:
        check_onnx_packages()
    with errors.status(escape(f"loading {model_file}")):
        model = load_model(model_file)
        images, whose = checking_images(model.input_shape[1:])
        expected = np.asarray(model(images, training=False))
    for kind in formats:
        target = out / f"{model_file.stem}.{kind}"
        with errors.status(escape(f"writing and checking {target}")):
            difference = write_checked(model, kind, target, images, expected)
        scored = f"scored {expected.min():.3f} to {expected.max():.3f}"
        console.print(
            f"{target}: differs from Keras by {difference:.1e} at most, on {whose}, {scored}", markup=False
        )
    names = stored_class_names(model_file, max(2, expected.shape[1]))
    if len(names) == 2:
        said = f"scores of at least {threshold:g} mean {names[1]} ({origin})"
    else:
        said = f"the highest of the {len(names)} scores decides, in this order: {', '.join(names)}"
    console.print(said, markup=False)


def check_onnx_packages() -> None:
    """Refuse ONNX where what writes and runs it is not installed.

    Raises:
        UserError: names what is missing and how to install it.
    """
    missing = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"--format onnx: needs {', '.join(missing)}; install it: pip install -r requirements-export.txt"
        )


def checking_images(shape: tuple[int, int, int]) -> tuple[Images, str]:
    """Images to check with, and whose they are: validation images where such are prepared, else noise.

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
    return noise, f"{NUM_IMAGES} images of noise ({folder} has none of {'x'.join(map(str, shape))})"


def write_checked(
    model: "keras.Model", kind: str, target: Path, images: Images, expected: NDArray[np.generic]
) -> float:
    """Export a model, whole or not at all; return the largest difference of its scores from Keras'.

    Raises:
        UserError: they differ by more than TOLERANCE, the format has no place for a layer, `target` is
            something else than an earlier export, or it cannot be written.
    """
    write, read = FORMATS[kind]
    if target.is_dir() and not (target / "saved_model.pb").is_file():
        raise UserError(f"{target}: is there and is no SavedModel; move it away or take another --out")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as folder:
            scratch = Path(folder) / target.name
            write(model, scratch)
            score = read(scratch)
            scores = np.concatenate([score(images[:1]), score(images[1:])])  # two sizes of a batch
            difference = float(np.abs(scores.reshape(expected.shape) - expected).max())
            if not difference <= TOLERANCE:
                raise UserError(
                    f"{target}: not written: its scores differ from Keras' by up to {difference:.1e}, "
                    f"{TOLERANCE:g} is allowed; use the .keras file or another format"
                )
            if target.is_dir():
                target.replace(Path(folder) / "earlier")
            scratch.replace(target)
    except OSError as error:
        raise UserError(f"{target} could not be written: {error.strerror or error}") from error
    except (
        RuntimeError,
        ValueError,
        TypeError,
        LookupError,
    ) as error:  # of the converter, or of what runs it
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{target}: this network cannot be written as {kind}: {reason}") from error
    return difference


def write_saved_model(model: "keras.Model", folder: Path) -> None:
    model.export(folder, format="tf_saved_model", verbose=False)


def read_saved_model(folder: Path) -> Callable[[Images], NDArray[Any]]:
    import tensorflow as tf

    served = tf.saved_model.load(folder)
    return lambda images: served.serve(images).numpy()


def write_onnx(model: "keras.Model", file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of what Keras mends in tf2onnx for NumPy 2
        model.export(file, format="onnx", verbose=False)


def read_onnx(file: Path) -> Callable[[Images], NDArray[Any]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


FORMATS = {"savedmodel": (write_saved_model, read_saved_model), "onnx": (write_onnx, read_onnx)}
"""What writes each format, and what makes of the file a function from images to scores."""
