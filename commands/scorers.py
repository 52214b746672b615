"""Models that score images: those of runs, and plain Keras and ONNX files whose pixels the user states."""

import importlib.util
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commands.trained_model import first_line, open_keras, stored_class_names, stored_facts, stored_threshold
from helpers.evaluation.threshold_rule import WITHOUT_CHOICE
from helpers.global_config import Config
from helpers.settings.errors import UserError
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

    @cached_property
    def digest(self) -> str:
        """The sha256 of the file, hex."""
        return file_digest(self.file)

    def scores(
        self, images: NDArray[np.uint8], progress: Callable[[str, int, int], None]
    ) -> NDArray[np.float64]:
        """Return the score of each image: (N,), of class 1; with more than two classes (N, k).

        Raises:
            UserError: the output is not one probability per class.
        """
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
    is_onnx = file.suffix == ".onnx"
    facts = {} if is_onnx else stored_facts(file)
    if is_onnx:
        score, shape, num_outputs, facts = _open_onnx(file, config)
    else:
        score, shape, num_outputs = _open_keras(file, config)
    num_classes = max(2, num_outputs)
    if is_onnx and facts.get("threshold") is not None:
        stored, origin = float(facts["threshold"]), f"of the metadata of {file.name}"
    elif is_onnx:
        stored, origin = WITHOUT_CHOICE, f"the default: {file.name} has none in its metadata"
    else:
        stored, origin = stored_threshold(file)
    if threshold is not None:
        if not origin.startswith("the default"):
            raise UserError(f"--threshold: {file} has one, {stored:g}; leave the option out")
        stored, origin = threshold, "of --threshold"
    return Scorer(
        file,
        str(facts.get("run") or ""),
        shape,
        _class_names(file, facts, config, num_classes),
        stored,
        origin,
        _pixels(file, facts, pixels),
        facts,
        score,
    )


def _find(name: str, config: Config) -> Path:
    """Return the file of a model, or best.keras of a run."""
    of_run = config.MODELS_DIR / name / "best.keras"
    file = of_run if of_run.is_file() and not Path(name).is_file() else Path(name)
    if not file.is_file():
        raise UserError(
            f"{name}: not found; expected a finished run ({of_run} does not exist; `python run.py runs` "
            "lists all), or a .keras or .onnx file"
        )
    if file.suffix not in (".keras", ".onnx"):
        raise UserError(f"{file}: not a model; expected a .keras or .onnx file, or the name of a run")
    return file


def _pixels(file: Path, facts: dict[str, Any], pixels: str | None) -> str:
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
    return pixels


def _class_names(file: Path, facts: dict[str, Any], config: Config, num_classes: int) -> tuple[str, ...]:
    names = facts.get("classes")
    if isinstance(names, list) and len(names) == num_classes:
        return tuple(map(str, names))
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


def _open_keras(file: Path, config: Config) -> tuple[Score, ImageShape, int]:
    model = open_keras(file)
    inputs, outputs = model.input_shape, model.output_shape
    if not isinstance(inputs, tuple) or len(inputs) != 4 or len(outputs) != 2 or outputs[1] is None:
        raise UserError(
            f"{file}: input {inputs} and output {outputs}, expected (None, H, W, C) and (None, k)"
        )
    return model.predict_on_batch, _size(file, *inputs[1:], config), int(outputs[1])


def _open_onnx(file: Path, config: Config) -> tuple[Score, ImageShape, int, dict[str, Any]]:
    if importlib.util.find_spec("onnxruntime") is None:
        raise UserError(f"{file}: needs onnxruntime; install it: pip install -r requirements-export.txt")
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime has exceptions of its own
        raise UserError(f"{file}: cannot be loaded as ONNX: {first_line(error)}") from error
    (pixels, *others), output = session.get_inputs(), session.get_outputs()[0]
    if others or len(pixels.shape) != 4:
        raise UserError(f"{file}: expected one input of four dimensions, images")
    is_channels_first = pixels.shape[1] in (1, 3) and pixels.shape[3] not in (1, 3)
    channels, height, width = pixels.shape[1:] if is_channels_first else (pixels.shape[3], *pixels.shape[1:3])
    shape = _size(file, height, width, channels, config)

    def score(images: Images) -> NDArray[Any]:
        if is_channels_first:
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        result: NDArray[Any] = session.run([output.name], {pixels.name: images})[0]
        return result

    num_outputs = score(np.zeros((1, *shape), np.float32)).size
    return score, shape, num_outputs, _metadata(session.get_modelmeta().custom_metadata_map)


def _metadata(texts: dict[str, str]) -> dict[str, Any]:
    """Return what an export of this project wrote into an ONNX file; empty for another file."""
    try:
        return {name: json.loads(text) for name, text in texts.items()} if "classes" in texts else {}
    except ValueError:
        return {}
