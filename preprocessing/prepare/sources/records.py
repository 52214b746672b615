"""The images that a source lists, and the function that reads one of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from preprocessing.errors import PreprocessingError

ImageShape = tuple[int, int, int]
"""Height, width and channels: 3 (RGB) or 1 (gray)."""


@dataclass(frozen=True)
class ImageRecord:
    """One image.

    Attributes:
        file: path relative to the folder, with `/`.
        label: number of its class, from 0.
        patient, split: None where unknown.
        columns: the other columns of manifest.csv, by name.
    """

    file: str
    label: int
    patient: str | None = None
    split: str | None = None
    columns: dict[str, str] = field(default_factory=dict)


class ImageFile(NamedTuple):
    """A file's pixels, uint8 (H, W, C) RGB or gray; its sha256, hex; the part kept, if it was cropped."""

    pixels: NDArray[np.uint8]
    sha256: str
    cut: str = ""


ReadFile = Callable[[Path, ImageShape], ImageFile]
"""Reads one file as an image of a shape; raises UnreadableImageError. Called from several threads."""


@dataclass(frozen=True)
class ImageSet:
    """The images of a source.

    Attributes:
        records: all images, by label, then by file.
        classes: meaning of each label, in order of the labels.
        read: reads the file of a record.
        metadata: further entries of manifest.json, such as the license.
    """

    records: list[ImageRecord]
    classes: tuple[str, ...]
    read: ReadFile
    metadata: dict[str, Any] = field(default_factory=dict)


class UnreadableImageError(PreprocessingError):
    """A file that is not a usable image. The message gives the reason without the file's name."""
