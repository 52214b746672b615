"""DICOM files in folders. Their headers are used to display the pixels and to group patients, and not kept.

Labels come from folders or manifest.csv, as for other images. So do patients if manifest.csv has them.
Otherwise images with the same PatientID share a patient, numbered in the order of the images. A hash would
not hide an identifier: identifiers are short enough to try them all.
"""

import hashlib
import io
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.global_config import Config
from helpers.settings.errors import how_to_install
from preprocessing.errors import PreprocessingError, counted, name_some
from preprocessing.prepare.sources.breast_crop import crop_breast
from preprocessing.prepare.sources.dicom_display import displayed_gray, is_mask, stored_values
from preprocessing.prepare.sources.image_folder import find_images, fit_image, read_bytes
from preprocessing.prepare.sources.records import (
    ImageFile,
    ImageRecord,
    ImageSet,
    ImageShape,
    UnreadableImageError,
)
from preprocessing.prepare.sources.source import POSITIVE_CLASS, Option, Progress, Source

SUFFIXES = {".dcm", ".dicom", ".ima"}
KINDS = "DICOM: .dcm, .dicom, .ima, or DICM at byte 128"
COLORS = (
    "RGB",
    "YBR_FULL",
    "YBR_FULL_422",
    "YBR_ICT",
    "YBR_RCT",
    "PALETTE COLOR",
)  # pydicom makes RGB of them
MOST_BITS = 16  # per gray level


def find_dicoms(
    folder: Path, positive: str = "", class_names: Sequence[str] = (), crop: bool = False
) -> ImageSet:
    """List the DICOM files below a folder, as `find_images` lists other images.

    Args:
        folder: folder of the images.
        positive, class_names: as in `find_images`.
        crop: crop every image to the breast.

    Raises:
        PreprocessingError: as in `find_images`; also if pydicom is missing, or if only some headers have a
            PatientID.
    """
    try:
        import pydicom  # noqa: F401
    except ImportError:
        raise PreprocessingError(
            f"DICOM images: the package pydicom is not installed; {how_to_install('demo')}"
        ) from None
    images = find_images(folder, positive, class_names, is_dicom, KINDS)
    records = images.records
    if all(record.patient is None for record in records):
        records = _number_patients(folder, records)
    metadata = images.metadata | ({"options": {"crop_breast": True}} if crop else {})
    return replace(images, records=records, read=partial(read_dicom, crop=crop), metadata=metadata)


def is_dicom(path: Path) -> bool:
    """Return whether a file is DICOM by its suffix or its first bytes; scanners often omit the suffix."""
    if path.suffix.lower() in SUFFIXES:
        return True
    with path.open("rb") as file:
        return path.name != "DICOMDIR" and file.read(132)[128:] == b"DICM"


def _number_patients(folder: Path, records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Number the patients by PatientID, if headers have one; damaged files get no number."""
    from pydicom import dcmread

    headers: list[str | None] = []
    # PatientID comes before Rows in a file: one without Rows has no image, or is truncated.
    tags: list[Any] = ["PatientID", "Rows"]
    for record in records:
        try:
            with _silence():
                header = dcmread(folder / record.file, stop_before_pixels=True, specific_tags=tags)
                patient = str(header.get("PatientID") or "").strip()
                headers.append(patient if "Rows" in header else None)
        except _damage():
            headers.append(None)  # reported as unreadable when its pixels are read
    without = [record.file for record, header in zip(records, headers, strict=True) if header == ""]
    if not any(headers):
        return list(records)
    if without:
        raise PreprocessingError(
            f"{folder}: no PatientID in the header of {counted(len(without), 'image')}: "
            f"{name_some(without)}; name the patient of every image in manifest.csv, columns file and patient"
        )
    numbers: dict[str, int] = {}
    return [
        replace(record, patient=f"P{numbers.setdefault(header, len(numbers) + 1)}") if header else record
        for record, header in zip(records, headers, strict=True)
    ]


def read_dicom(path: Path, shape: ImageShape, crop: bool = False) -> ImageFile:
    """Read one DICOM file as it is meant to be displayed.

    Args:
        path: one image, gray (8 to 16 bit) or color, plain or compressed.
        shape: height, width and channels of the result.
        crop: crop to the breast; color images are kept whole.

    Raises:
        UnreadableImageError: damaged, without pixels, with several frames, or in an unknown compression.
    """
    data = read_bytes(path)
    cut = ""
    try:
        with _silence():
            pixels = _decode(data)
    except _damage() as error:
        raise UnreadableImageError(f"damaged, or not a DICOM image ({type(error).__name__})") from None
    if crop and pixels.ndim == 2:
        pixels, cut = crop_breast(pixels)
    return ImageFile(fit_image(pixels, shape), hashlib.sha256(data).hexdigest(), cut)


def _decode(data: bytes) -> NDArray[np.uint8]:
    """Decode pixels into the layout of OpenCV: uint8 (H, W) or (H, W, 3) BGR."""
    from pydicom import dcmread
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    image = dcmread(io.BytesIO(data))
    if is_mask(image):
        raise UnreadableImageError("a mask by its header; move it away")
    if "PixelData" not in image:
        raise UnreadableImageError("a DICOM file without pixels")
    if (frames := int(image.get("NumberOfFrames") or 1)) > 1:
        raise UnreadableImageError(f"{frames} frames, expected one; export single images")
    try:
        pixels = pixel_array(image)
    except (NotImplementedError, RuntimeError):
        syntax = image.file_meta.TransferSyntaxUID
        compression = "in an unknown way" if syntax.name == syntax else f"as {syntax.name}"
        raise UnreadableImageError(
            f"compressed {compression}, and damaged or without a decoder here; "
            f"{how_to_install('demo')}; or convert it"
        ) from None
    interpretation, bits = image.PhotometricInterpretation, int(image.BitsStored)
    if interpretation in ("MONOCHROME1", "MONOCHROME2"):
        if image.BitsAllocated > MOST_BITS:
            raise UnreadableImageError(f"{image.BitsAllocated} bits per pixel, expected at most {MOST_BITS}")
        return displayed_gray(stored_values(pixels, image), image)
    if interpretation not in COLORS or image.PixelRepresentation:
        raise UnreadableImageError("its kind of colors is not read; export it as RGB or gray")
    if interpretation == "PALETTE COLOR":
        pixels = apply_color_lut(stored_values(pixels, image), image)
        bits = 8 * pixels.itemsize
    return np.ascontiguousarray((pixels >> max(0, bits - 8)).astype(np.uint8)[..., ::-1])


@contextmanager
def _silence() -> Iterator[None]:
    """Suppress pydicom's warnings: they may quote a header, and damage that matters raises an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _damage() -> tuple[type[Exception], ...]:
    """Return the exceptions that pydicom raises for a damaged file."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    return (
        AttributeError, BytesLengthException, EOFError, IndexError, InvalidDicomError, KeyError,
        NotImplementedError, OSError, OverflowError, RuntimeError, TypeError, ValueError, struct.error,
    )  # fmt: skip


def _find(config: Config, _progress: Progress, *, positive_class: str, crop_breast: bool) -> ImageSet:
    return find_dicoms(config.DATA_DIR, positive_class, config.CLASS_NAMES, crop_breast)


SOURCE = Source(
    "your DICOM files",
    _find,
    options=(
        POSITIVE_CLASS,
        Option("crop_breast", "crop mammograms to the breast, without borders and letters", default=False),
    ),
    examples=("--data-dir mammograms --crop-breast",),
)
