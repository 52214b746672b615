"""DICOM files in folders. Of their headers nothing is kept but how to show the pixels.

Labels, and patients if they are given there, come from folders and manifest.csv as with other images; else
two images are of one patient if their headers say so, and patients are numbered in the order of the images.
A hash of an identifier would not hide it: identifiers are short enough to try them all.
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
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from preprocessing.errors import PreprocessingError, counted, name_some
from preprocessing.prepare.sources.breast_crop import crop_breast
from preprocessing.prepare.sources.image_folder import find_images, fit_image, read_bytes
from preprocessing.prepare.sources.records import (
    ImageFile,
    ImageRecord,
    ImageSet,
    ImageShape,
    UnreadableImageError,
)

if TYPE_CHECKING:
    from pydicom import Dataset

SUFFIXES = {".dcm", ".dicom", ".ima"}
KINDS = "DICOM: .dcm, .dicom, .ima, or DICM at byte 128"
PERCENTILES = (1.0, 99.5)  # black and white of an image without a window of its own
MOST_BITS = 16  # of a gray level


def find_dicoms(
    folder: Path, positive: str = "", class_names: Sequence[str] = (), crop: bool = False
) -> ImageSet:
    """List the DICOM files below a folder, as `find_images` lists other images.

    Args:
        folder: of the images.
        positive, class_names: as `find_images`.
        crop: each image is cut down to the breast.

    Raises:
        PreprocessingError: as `find_images`; pydicom is not installed, or only some headers name a patient.
    """
    try:
        import pydicom  # noqa: F401
    except ImportError:
        raise PreprocessingError(
            "DICOM images: the package pydicom is not installed; pip install -r requirements-demo.txt"
        ) from None
    found = find_images(folder, positive, class_names, is_dicom, KINDS)
    records = found.records
    if all(record.patient is None for record in records):
        records = _number_patients(folder, records)
    about = {"options": {"crop_breast": True}} if crop else {}
    return replace(found, records=records, read=partial(read_dicom, crop=crop), about=about)


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its name or, as files from scanners often have no suffix, by its start."""
    if path.suffix.lower() in SUFFIXES:
        return True
    with path.open("rb") as file:
        return path.name != "DICOMDIR" and file.read(132)[128:] == b"DICM"


def _number_patients(folder: Path, records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Give every image the number of its patient, if headers say who that is; damaged files get none."""
    from pydicom import dcmread

    headers: list[str | None] = []
    tags: list[Any] = [
        "PatientID",
        "Rows",
    ]  # in this order in a file: without rows it has no image, or is cut
    for record in records:
        try:
            with _silence():
                header = dcmread(folder / record.file, stop_before_pixels=True, specific_tags=tags)
                patient = str(header.get("PatientID") or "").strip()
                headers.append(patient if "Rows" in header else None)
        except _damage():
            headers.append(None)  # will be found unreadable
    without = [record.file for record, header in zip(records, headers, strict=True) if header == ""]
    if not any(headers):
        return list(records)
    if without:
        raise PreprocessingError(
            f"{folder}: no PatientID in the header of {counted(len(without), 'image')}: "
            f"{name_some(without)}; say whose all images are in manifest.csv, columns file and patient"
        )
    numbers: dict[str, int] = {}
    return [
        replace(record, patient=f"P{numbers.setdefault(header, len(numbers) + 1)}") if header else record
        for record, header in zip(records, headers, strict=True)
    ]


def read_dicom(path: Path, shape: ImageShape, crop: bool = False) -> ImageFile:
    """Read one DICOM file as it is meant to be shown.

    Args:
        path: one image, gray (8 to 16 bit) or color, plain or compressed.
        shape: height and width to resize to, and channels to bring it to.
        crop: cut it down to the breast; color images are kept whole.

    Raises:
        UnreadableImageError: damaged, without pixels, with several frames, or compressed in an unknown way.
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
    """Pixels as OpenCV would give them: uint8 (H, W) or (H, W, 3) BGR."""
    from pydicom import dcmread
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    image = dcmread(io.BytesIO(data))
    if "PixelData" not in image:
        raise UnreadableImageError("a DICOM file without pixels")
    if (frames := int(image.get("NumberOfFrames") or 1)) > 1:
        raise UnreadableImageError(f"{frames} frames, expected one; export single images")
    try:
        pixels = pixel_array(image)
    except (NotImplementedError, RuntimeError):
        syntax = image.file_meta.TransferSyntaxUID
        way = "in an unknown way" if syntax.name == syntax else f"as {syntax.name}"
        raise UnreadableImageError(
            f"compressed {way}, and damaged or not to be decoded here; convert it, unless "
            "pip install -r requirements-demo.txt brings the decoder"
        ) from None
    kind, bits = image.PhotometricInterpretation, int(image.BitsStored)
    if kind in ("MONOCHROME1", "MONOCHROME2"):
        if image.BitsAllocated > MOST_BITS:
            raise UnreadableImageError(f"{image.BitsAllocated} bits a pixel, expected at most {MOST_BITS}")
        gray = _as_shown(pixels, image)
        return 255 - gray if kind == "MONOCHROME1" else gray
    if kind == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, image)
        bits = 8 * pixels.itemsize
    return np.ascontiguousarray((pixels >> max(0, bits - 8)).astype(np.uint8)[..., ::-1])


def _as_shown(pixels: NDArray[Any], image: "Dataset") -> NDArray[np.uint8]:
    """Gray levels 0-255 by the image's own window or table, else by percentiles; 8 bit then stay as they are.

    Computed for every level that occurs, not for every pixel: a mammogram has twenty million.
    """
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    low, high = int(pixels.min()), int(pixels.max())
    levels = np.arange(low, high + 1)
    values = apply_modality_lut(levels, image)
    if image.get("VOILUTSequence"):
        values = apply_voi_lut(np.rint(values).astype(np.int64), image)
        black, white = 0.0, 2.0 ** image.VOILUTSequence[0].LUTDescriptor[2] - 1
    elif image.get("WindowWidth") is not None and image.get("WindowCenter") is not None:
        values = apply_voi_lut(values, image)
        black, white = apply_voi_lut(np.array([-np.inf, np.inf]), image)
    elif image.BitsStored <= 8 and low >= 0:
        values, black, white = levels, 0.0, 2.0**image.BitsStored - 1
    else:
        black, white = np.interp(np.percentile(pixels, PERCENTILES), levels, values)
    span = (white - black) or 1.0
    shown = np.rint(np.clip((values - black) / span, 0, 1) * 255).astype(np.uint8)
    return shown[np.subtract(pixels, low, dtype=np.int32)]


@contextmanager
def _silence() -> Iterator[None]:
    """What pydicom warns of may quote a header, and damage that matters is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _damage() -> tuple[type[Exception], ...]:
    """What pydicom raises for a damaged file."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    return (
        AttributeError, BytesLengthException, EOFError, IndexError, InvalidDicomError, KeyError,
        NotImplementedError, OSError, OverflowError, RuntimeError, TypeError, ValueError, struct.error,
    )  # fmt: skip
