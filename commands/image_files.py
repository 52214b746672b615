"""Image files and folders on the command line, read as the preparation reads them."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from helpers.settings.errors import UserError, how_to_install
from preprocessing.errors import name_some
from preprocessing.prepare.sources.dicom import is_dicom, read_dicom
from preprocessing.prepare.sources.files_below import files_below
from preprocessing.prepare.sources.image_folder import KINDS, is_picture, read_image
from preprocessing.prepare.sources.records import ImageFile, ImageShape, UnreadableImageError

SILENT = 0  # log level of OpenCV: unreadable files are reported below, once


def find_files(paths: Sequence[Path]) -> list[Path]:
    """Return the named image files and those in the named folders, sorted within each folder.

    Raises:
        UserError: a path does not exist, or a folder has no images.
    """
    files: list[Path] = []
    for path in paths:
        matches = [path]
        if path.is_dir():
            matches = [file for file in files_below(path) if is_picture(file) or is_readable_dicom(file)]
        elif not path.exists():
            raise UserError(f"{path}: not found; expected an image file or a folder of images")
        if not matches:
            raise UserError(f"{path}: no images in this folder ({KINDS}, or DICOM)")
        files += matches
    return files


def read_all(
    files: Sequence[Path], shape: ImageShape, *, crop: bool, skip_unreadable: bool = False
) -> tuple[list[Path], NDArray[np.uint8], list[str]]:
    """Read images as the preparation does.

    Returns:
        The files read; their images, uint8 (N, *shape), RGB or gray, 0-255; the files left out, with reasons.

    Raises:
        UserError: names every file that cannot be used, unless `skip_unreadable`; none can be used; or
            pydicom is not installed.
    """
    images = np.empty((len(files), *shape), np.uint8)
    problems: list[str] = []
    read: list[Path] = []
    level = cv2.utils.logging.setLogLevel(SILENT)
    for file in files:
        try:
            images[len(read)] = read_one(file, shape, crop=crop).pixels
            read.append(file)
        except UnreadableImageError as error:
            problems.append(f"{file} ({error})")
    cv2.utils.logging.setLogLevel(level)
    if problems and not (skip_unreadable and read):
        raise UserError(
            f"unreadable: {name_some(problems)}; move them away, name other images"
            + ("" if skip_unreadable else ", or leave them out with --skip-unreadable")
        )
    return read, images[: len(read)], problems


def read_one(file: Path, shape: ImageShape, *, crop: bool) -> ImageFile:
    """Read a picture or a DICOM file.

    Raises:
        UnreadableImageError: the file cannot be used.
        UserError: the file is DICOM and pydicom is not installed.
    """
    if is_picture(file) or not is_readable_dicom(file):
        return read_image(file, shape)
    if importlib.util.find_spec("pydicom") is None:
        raise UserError(f"{file}: DICOM images need the package pydicom; {how_to_install('demo')}")
    return read_dicom(file, shape, crop)


def is_readable_dicom(file: Path) -> bool:
    """Return whether a file is DICOM. The picture reader explains files that cannot be opened."""
    try:
        return is_dicom(file)
    except OSError:
        return False
