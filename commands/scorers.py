"""Models that score images: those of runs, and plain Keras and ONNX files whose pixels the user states."""

import importlib.util
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commands.trained_model import (
    first_line,
    model_path,
    open_keras,
    stored_class_names,
    stored_facts,
    stored_threshold,
)
from helpers.evaluation.metrics import SUM_TOLERANCE
from helpers.evaluation.threshold_rule import WITHOUT_CHOICE, is_rule
from helpers.federated.messages import RUN_NAME
from helpers.global_config import Config
from helpers.settings.errors import UserError, how_to_install
from helpers.settings.types import USUAL_CLASS_NAMES
from preprocessing.feed.prepared_data import file_digest
from preprocessing.prepare.sources.records import ImageShape

Images = NDArray[np.float32]
Score = Callable[[Images], NDArray[Any]]

OWN_PIXELS = "0..1"
PIXELS: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    OWN_PIXELS: ([0.0], [1.0]),
    "0..255": ([0.0], [1 / 255]),
    "-1..1": ([0.5], [0.5]),
    "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
}
"""Mean and standard deviation of the pixels that a model was trained on, where white is 1."""
GIVEN = "of --threshold"
BATCH = 32


@dataclass(frozen=True, eq=False)
class Scorer:
    """A model that scores images.

    Attributes:
        file: its file.
        run: the run that trained it; empty if unknown.
        shape: height, width and channels of its images.
        class_names: in order of the labels.
        threshold: with two classes, scores at or above it count as class 1.
        origin: where the threshold comes from.
        pixels: key of PIXELS.
        facts: what is stored about its training, as in best.json; empty for a plain file.
        score: returns the output for float32 images (N, *shape) that are scaled as the model wants them.
    """

    file: Path
    run: str
    shape: ImageShape
    class_names: tuple[str, ...]
    threshold: float
    origin: str
    pixels: str
    facts: dict[str, Any]
    score: Score

    @property
    def threshold_is(self) -> str:
        """`stored`, `of --threshold` or `the default`."""
        kind = self.origin.partition(":")[0]
        return kind if kind in ("the default", GIVEN) else "stored"

    @cached_property
    def digest(self) -> str:
        """The sha256 of the file, hex."""
        return file_digest(self.file)

    def scores(
        self, images: NDArray[np.uint8], progress: Callable[[str, int, int], None]
    ) -> NDArray[np.float64]:
        """Return the score of each image: (N,), of class 1; with more than two classes (N, k).

        Raises:
            UserError: the output is not one probability per class, or there is no image.
        """
        if not len(images):
            raise UserError("no image is left to score; see --split and --skip-unreadable")
        mean, deviation = (np.array(values, np.float32) for values in PIXELS[self.pixels])
        outputs = []
        for start in range(0, len(images), BATCH):
            part = np.divide(images[start : start + BATCH], 255, dtype=np.float32)
            outputs.append(np.asarray(self.score((part - mean) / deviation), np.float64))
            progress("Scoring images", min(start + BATCH, len(images)), len(images))
        return self._checked(np.concatenate(outputs))

    def _checked(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        scores = outputs.reshape(len(outputs), -1)
        if not ((scores >= 0) & (scores <= 1)).all():
            raise UserError(
                f"{self.file}: outputs from {scores.min():.3g} to {scores.max():.3g}, expected "
                "probabilities; export the model with its sigmoid or softmax"
            )
        sums = scores.sum(axis=1)
        if scores.shape[1] > 1 and (np.abs(sums - 1) > SUM_TOLERANCE).any():
            raise UserError(
                f"{self.file}: the {scores.shape[1]} outputs of an image add up to {sums.min():.4g} to "
                f"{sums.max():.4g}, expected 1; export the model with a softmax instead of sigmoids"
            )
        if scores.shape[1] == len(self.class_names) == 2:  # a softmax of two classes
            return scores[:, 1]
        return scores[:, 0] if scores.shape[1] == 1 else scores


def open_scorer(name: str, config: Config, pixels: str | None, threshold: float | None) -> Scorer:
    """Return the model of a run, or that of a `.keras` or `.onnx` file.

    Args:
        name: of the run, or path of the file.
        config: MODELS_DIR; for plain files CLASS_NAMES, and INPUT_SHAPE if the file leaves the size open.
        pixels: how the pixels of a plain file were scaled, a key of PIXELS.
        threshold: of a file without a stored one.

    Raises:
        UserError: the model cannot be used, or its pixels are not described.
    """
    file = _find(name, config)
    opened = _open_onnx(file, config) if file.suffix == ".onnx" else _open_keras(file, config)
    facts, num_classes = _usable(opened.facts), max(2, opened.num_outputs)
    stored, origin = _threshold(file, facts)
    if threshold is not None:
        if not origin.startswith("the default"):
            raise UserError(f"--threshold: {file} has one, {stored:g}; leave the option out")
        stored, origin = threshold, GIVEN
    return Scorer(
        file,
        facts.get("run", ""),
        opened.shape,
        _class_names(file, facts, config, num_classes),
        stored,
        origin,
        _pixels(file, facts, pixels, opened.shape[2]),
        facts,
        opened.score,
    )


class _Opened(NamedTuple):
    """A model file: how it scores, the shape of its images, its outputs, and what it says of its training."""

    score: Score
    shape: ImageShape
    num_outputs: int
    facts: dict[str, Any]


def _usable(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts about a training that have the form they should; a file may say anything."""
    checks = {
        "run": lambda value: isinstance(value, str) and RUN_NAME.fullmatch(value),
        "classes": lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
        "threshold": lambda value: isinstance(value, int | float) and 0 <= value <= 1,
        "threshold_rule": lambda value: isinstance(value, str) and is_rule(value),
        "data_digest": lambda value: isinstance(value, str),
    }
    return {name: facts[name] for name, fits in checks.items() if name in facts and fits(facts[name])}


def _threshold(file: Path, facts: dict[str, Any]) -> tuple[float, str]:
    """Return the stored threshold, else 0.5, and where it comes from."""
    if file.suffix != ".onnx":
        return stored_threshold(file)
    if "threshold" in facts:
        return float(facts["threshold"]), f"of the metadata of {file}"
    return WITHOUT_CHOICE, f"the default: {file} has none in its metadata"


def _find(name: str, config: Config) -> Path:
    """Return the file of a model, or best.keras of a run."""
    file = model_path(name, config.MODELS_DIR)
    if not file.is_file():
        of_run = config.MODELS_DIR / name / "best.keras"
        raise UserError(
            f"{name}: not found; expected a finished run ({of_run} does not exist; `python run.py runs` "
            "lists all), or a .keras or .onnx file"
        )
    if file.suffix not in (".keras", ".onnx"):
        raise UserError(f"{file}: not a model; expected a .keras or .onnx file, or the name of a run")
    return file


def _pixels(file: Path, facts: dict[str, Any], pixels: str | None, channels: int) -> str:
    if "classes" in facts:  # this project trained it
        if pixels not in (None, OWN_PIXELS):
            raise UserError(
                f"--pixels: {file} was trained here, on pixels {OWN_PIXELS}; leave the option out"
            )
        return OWN_PIXELS
    if pixels is None:
        raise UserError(
            f"{file}: nothing is stored about how its images were prepared; say how pixels were scaled: "
            f"--pixels {' or '.join(PIXELS)}"
        )
    if len(PIXELS[pixels][0]) > channels:
        raise UserError(f"--pixels {pixels}: is for RGB images, and those of {file} are gray; name another")
    return pixels


def _class_names(file: Path, facts: dict[str, Any], config: Config, num_classes: int) -> tuple[str, ...]:
    if len(names := facts.get("classes", ())) == num_classes:
        return tuple(names)
    if given := config.CLASS_NAMES:
        if len(given) != num_classes:
            raise UserError(f"--class-names: received {len(given)}, {file} has {num_classes} classes")
        return given
    return USUAL_CLASS_NAMES if num_classes == 2 else stored_class_names(file, num_classes)


def _size(file: Path, height: Any, width: Any, channels: Any, config: Config) -> ImageShape:
    """Return the shape of a model's images; INPUT_SHAPE where the file leaves the size open."""
    if channels not in (1, 3):
        raise UserError(f"{file}: its images have {channels} channels, expected 3 (RGB) or 1 (gray)")
    if isinstance(height, int) and isinstance(width, int):
        return height, width, channels
    if "INPUT_SHAPE" not in config.model_fields_set:
        raise UserError(f"{file}: leaves the size of images open; name it, such as --input-shape 224,224")
    return (*config.INPUT_SHAPE, channels)


def _open_keras(file: Path, config: Config) -> _Opened:
    model = open_keras(file)
    inputs, outputs = model.input_shape, model.output_shape
    fits = isinstance(inputs, tuple) and len(inputs) == 4 and isinstance(outputs, tuple) and len(outputs) == 2
    if not fits or not isinstance(outputs[1], int):
        raise UserError(
            f"{file}: input {inputs} and output {outputs}, expected (None, H, W, C) and (None, k)"
        )
    _, height, width, channels = inputs
    shape = _size(file, height, width, channels, config)
    return _Opened(model.predict_on_batch, shape, outputs[1], stored_facts(file))


def _open_onnx(file: Path, config: Config) -> _Opened:
    if importlib.util.find_spec("onnxruntime") is None:
        raise UserError(f"{file}: needs onnxruntime; {how_to_install('export')}")
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        (pixels,), output = session.get_inputs(), session.get_outputs()[0]
        _, *sizes = pixels.shape
        is_channels_first = sizes[0] in (1, 3) and sizes[2] not in (1, 3)
        channels, height, width = sizes if is_channels_first else (sizes[2], *sizes[:2])
        shape = _size(file, height, width, channels, config)

        def score(images: Images) -> NDArray[Any]:
            if is_channels_first:
                images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
            result: NDArray[Any] = session.run([output.name], {pixels.name: images})[0]
            return result

        num_outputs = score(np.zeros((1, *shape), np.float32)).size
        texts = session.get_modelmeta().custom_metadata_map
        facts = {name: json.loads(text) for name, text in texts.items()} if "classes" in texts else {}
    except UserError:
        raise
    except Exception as error:  # the runtime has exceptions of its own
        raise UserError(
            f"{file}: cannot be used, expected ONNX with one input (N, H, W, C) or (N, C, H, W) of float32: "
            f"{first_line(error)}"
        ) from error
    return _Opened(score, shape, num_outputs, facts)
