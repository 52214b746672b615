"""A user's Albumentations pipeline from a file of `A.save`: read once, sent as text, checked before use."""

import functools
import json
import warnings
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import yaml

from helpers.global_config import Config
from helpers.settings.errors import ConfigError
from helpers.settings.types import AUGMENTATION_PRESETS

MOST_BYTES = 1 << 16
TRIALS = 8
MEAN = (0.15, 0.85)  # of changed noise, whose mean is 0.5: gross changes are mistakes of scale
FLAT = 0.02  # standard deviation of changed noise, which has 0.29
REFUSED = frozenset(
    {
        *("FDA", "HistogramMatching", "PixelDistributionAdaptation", "TemplateTransform", "TextImage"),
        *("Lambda", "Mosaic", "OverlayElements", "ReplayCompose"),
    }
)
"""Transforms that read files, contain code, or need more than the image."""


def embed_custom_augmentation(config: Config) -> Config:
    """Replace the file name in AUGMENTATION with the file's content, which then travels with the run.

    Raises:
        ConfigError: the file cannot be read, or its pipeline does not work at INPUT_SHAPE.
    """
    name = config.AUGMENTATION
    if name in AUGMENTATION_PRESETS or name.startswith("{"):
        return config
    text = json.dumps(_read(Path(name)), sort_keys=True, separators=(",", ":"))
    try:
        _try(text, (*config.INPUT_SHAPE, config.INPUT_DIM))
    except ConfigError as error:
        raise ConfigError(f"{error} (from {name})") from None
    return config.model_copy(update={"AUGMENTATION": text})


def custom_transforms(text: str, height: int, width: int) -> list[A.BasicTransform | A.BaseCompose]:
    """Return a resize, the pipeline of a file's content and, unless it ends in one, a scaling to [0, 1].

    Args:
        text: JSON from `A.save`, untrusted.
        height, width: size of the images, pixels.

    Raises:
        ConfigError: not a pipeline of Albumentations' built-in transforms, or wrong arguments.
    """
    try:
        saved = json.loads(text)["transform"]
        _check_names(saved)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Albumentations only warns of unknown arguments
            pipeline = A.from_dict({"transform": saved})
    except ConfigError:
        raise
    except Exception as error:  # a constructor may raise anything for wrong arguments
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"AUGMENTATION: not a pipeline that A.save wrote: {type(error).__name__}: {reason}"
        ) from error
    scale = [] if _ends_in_float(saved) else [A.ToFloat(max_value=255)]
    return [A.Resize(height, width), pipeline, *scale]


def _read(file: Path) -> Any:
    """Return the content of a file of `A.save`, JSON or YAML.

    Raises:
        ConfigError: missing, too large, or neither.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ConfigError(f"AUGMENTATION: {file} has over {MOST_BYTES} bytes; every task carries it")
        content = yaml.safe_load(file.read_text(encoding="utf-8"))  # JSON is YAML
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"AUGMENTATION: {file} cannot be read: {reason}") from None
    if not isinstance(content, dict) or "transform" not in content:
        raise ConfigError(f"AUGMENTATION: {file} is not a file of A.save: expected an entry `transform`")
    return {"transform": content["transform"]}


@functools.cache
def _permitted() -> frozenset[str]:
    """Return the names of Albumentations' built-in transforms and compositions that a file may use."""
    classes = {name: value for name, value in vars(A).items() if isinstance(value, type)}
    built_in = {name for name, each in classes.items() if issubclass(each, A.BasicTransform | A.BaseCompose)}
    return frozenset(built_in - REFUSED)


def _check_names(saved: Any) -> None:
    """Check the names of all transforms before any is constructed.

    Raises:
        ConfigError: a transform is not built into Albumentations, or is in REFUSED.
    """
    name = saved.get("__class_fullname__") if isinstance(saved, dict) else None
    if not isinstance(name, str) or name not in _permitted():
        raise ConfigError(
            f"AUGMENTATION: {name!r} is not allowed in a file; use Albumentations' built-in transforms that "
            "need only the image"
        )
    for part in saved.get("transforms", ()):
        _check_names(part)


def _ends_in_float(saved: dict[str, Any]) -> bool:
    name, parts = saved["__class_fullname__"], saved.get("transforms")
    if name in ("Compose", "Sequential"):
        return bool(parts and _ends_in_float(parts[-1]))
    return bool(name == "ToFloat")


def _try(text: str, shape: tuple[int, int, int]) -> None:
    """Apply the pipeline to noise, and check that the results are what a network expects.

    Raises:
        ConfigError: another shape, type or range, or images that are nearly black, white or constant.
    """
    pipeline = A.Compose(custom_transforms(text, *shape[:2]))
    generator = np.random.default_rng(0)
    results = []
    for _ in range(TRIALS):
        image = generator.integers(0, 256, shape, np.uint8)
        try:
            changed = pipeline(image=image)["image"]
        except Exception as error:  # a transform may raise anything for an unsuitable image
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"AUGMENTATION: the pipeline fails on an image {shape}: {type(error).__name__}: {reason}"
            ) from error
        if changed.shape != shape:
            raise ConfigError(
                f"AUGMENTATION: the pipeline returns images {changed.shape}, expected {shape}; end it with "
                f"A.Resize({shape[0]}, {shape[1]})"
            )
        if changed.dtype != np.float32 or changed.min() < 0 or changed.max() > 1:
            raise ConfigError(
                f"AUGMENTATION: the pipeline returns {changed.dtype} from {changed.min():g} to "
                f"{changed.max():g}, expected values from 0 to 255, or to 1 after A.ToFloat; leave "
                "A.Normalize out, because networks scale their input"
            )
        results.append(changed)
    mean, deviation = float(np.mean(results)), float(np.median([result.std() for result in results]))
    if not MEAN[0] <= mean <= MEAN[1] or deviation < FLAT:
        raise ConfigError(
            f"AUGMENTATION: the pipeline changes noise of mean 0.5 to mean {mean:.3g} and deviation "
            f"{deviation:.2g}: the network would see nearly constant images; images are 0 to 255, so scale "
            "once, with A.ToFloat(max_value=255) at the end or not at all, and leave A.Normalize out"
        )
