"""An Albumentations pipeline of one's own, from a file of `A.save`: read once, carried as text, checked."""

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
REFUSED = frozenset(
    {
        *("FDA", "HistogramMatching", "PixelDistributionAdaptation", "TemplateTransform", "TextImage"),
        *("Lambda", "Mosaic", "OverlayElements", "ReplayCompose"),
    }
)
"""Transforms that read files, hold code, or need more than the image."""


def embed_custom_augmentation(config: Config) -> Config:
    """Put the content of the file that AUGMENTATION names in place of its name; so it travels with a run.

    Raises:
        ConfigError: the file cannot be read, or is no pipeline that can be used at INPUT_SHAPE.
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


def own_transforms(text: str, height: int, width: int) -> list[A.BasicTransform | A.BaseCompose]:
    """Make the pipeline of a file's content, resizing before it and, if it does not do that itself, scaling
    to [0, 1] after it.

    Args:
        text: JSON as `A.save` writes it; not trusted.
        height, width: of an image, pixels.

    Raises:
        ConfigError: it is no pipeline of Albumentations' own transforms, or its arguments are wrong.
    """
    try:
        saved = json.loads(text)["transform"]
        _check_names(saved)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # so Albumentations tells of arguments it ignores
            pipeline = A.from_dict({"transform": saved})
    except ConfigError:
        raise
    except Exception as error:  # a constructor may raise anything for wrong arguments
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"AUGMENTATION: no pipeline that A.save wrote: {type(error).__name__}: {reason}"
        ) from error
    scale = [] if _ends_in_float(saved) else [A.ToFloat(max_value=255)]
    return [A.Resize(height, width), pipeline, *scale]


def _read(file: Path) -> Any:
    """The content of a file of `A.save`, JSON or YAML.

    Raises:
        ConfigError: not there, too large or neither.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ConfigError(f"AUGMENTATION: {file} has over {MOST_BYTES} bytes; it travels with every task")
        content = yaml.safe_load(file.read_text(encoding="utf-8"))  # JSON is YAML
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"AUGMENTATION: {file} cannot be read: {reason}") from None
    if not isinstance(content, dict) or "transform" not in content:
        raise ConfigError(f"AUGMENTATION: {file} is not what A.save writes: expected an entry `transform`")
    return {"transform": content["transform"]}


@functools.cache
def _permitted() -> frozenset[str]:
    """Names of Albumentations' own transforms and compositions that a file may name."""
    kinds = {name: kind for name, kind in vars(A).items() if isinstance(kind, type)}
    own = {name for name, kind in kinds.items() if issubclass(kind, A.BasicTransform | A.BaseCompose)}
    return frozenset(own - REFUSED)


def _check_names(saved: Any) -> None:
    """Refuse what is not Albumentations' own, before anything is made of it.

    Raises:
        ConfigError: naming it.
    """
    name = saved.get("__class_fullname__") if isinstance(saved, dict) else None
    if not isinstance(name, str) or name not in _permitted():
        raise ConfigError(
            f"AUGMENTATION: {name!r} may not come from a file: only Albumentations' own transforms that need "
            "nothing but the image"
        )
    for part in saved.get("transforms", ()):
        _check_names(part)


def _ends_in_float(saved: dict[str, Any]) -> bool:
    name, parts = saved["__class_fullname__"], saved.get("transforms")
    if name in ("Compose", "Sequential"):
        return bool(parts and _ends_in_float(parts[-1]))
    return bool(name == "ToFloat")


def _try(text: str, shape: tuple[int, int, int]) -> None:
    """Change some noise, and refuse a pipeline that does not give what a network expects.

    Raises:
        ConfigError: saying what it gives.
    """
    pipeline = A.Compose(own_transforms(text, *shape[:2]))
    generator = np.random.default_rng(0)
    for _ in range(TRIALS):
        image = generator.integers(0, 256, shape, np.uint8)
        try:
            changed = pipeline(image=image)["image"]
        except Exception as error:  # a transform may raise anything for an image it cannot take
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"AUGMENTATION: the pipeline fails on an image {shape}: {type(error).__name__}: {reason}"
            ) from error
        if changed.shape != shape:
            raise ConfigError(
                f"AUGMENTATION: the pipeline gives images {changed.shape}, expected {shape}; end it with "
                f"A.Resize({shape[0]}, {shape[1]})"
            )
        if changed.dtype != np.float32 or changed.min() < 0 or changed.max() > 1:
            raise ConfigError(
                f"AUGMENTATION: the pipeline gives {changed.dtype} from {changed.min():g} to "
                f"{changed.max():g}, expected values from 0 to 255, or to 1 after A.ToFloat; leave "
                "A.Normalize out, networks scale for themselves"
            )
