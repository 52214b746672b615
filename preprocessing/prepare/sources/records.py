"""What every source gives: its images by name, and a way to read one of them."""

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
        label: of its class, from 0.
        patient, split: if given.
        columns: what else manifest.csv says of it, by column.
    """

    file: str
    label: int
    patient: str | None = None
    split: str | None = None
    columns: dict[str, str] = field(default_factory=dict)


class ImageFile(NamedTuple):
    """What was read of a file: uint8 (H, W, C) RGB or gray; its sha256, hex; what was kept of it, if cut."""

    pixels: NDArray[np.uint8]
    sha256: str
    cut: str = ""


ReadFile = Callable[[Path, ImageShape], ImageFile]
"""Reads one file as an image of a shape; raises UnreadableImageError. It is sent to other processes."""


@dataclass(frozen=True)
class ImageSet:
    """The images of a source.

    Attributes:
        records: all images, by label, then by file.
        classes: what each label means, in order of the labels.
        read: reads the file of a record.
        about: more for manifest.json, such as the license.
    """

    records: list[ImageRecord]
    classes: tuple[str, ...]
    read: ReadFile
    about: dict[str, Any] = field(default_factory=dict)


class UnreadableImageError(PreprocessingError):
    """One file is not an image that can be used; the message says why, without the file's name."""
