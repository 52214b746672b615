"""Images in two folders, `0/` (non-cancerous) and `1/` (cancerous), and an optional manifest.csv."""

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from preprocessing.errors import PreprocessingError, counted, name_some
from preprocessing.splitting import CLASSES, SPLITS

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm"}
MANIFEST = "manifest.csv"
KNOWN_COLUMNS = ("patient", "split")


@dataclass(frozen=True)
class ImageRecord:
    """One image.

    Attributes:
        file: path relative to the folder, with `/`.
        label: 1 = cancerous.
        patient, split: if given.
        columns: what else manifest.csv says of it, by column.
    """

    file: str
    label: int
    patient: str | None = None
    split: str | None = None
    columns: dict[str, str] = field(default_factory=dict)


class UnreadableImageError(PreprocessingError):
    """One file is not an image that can be used; the message says why, without the file's name."""


def find_images(folder: Path) -> list[ImageRecord]:
    """List the images under `folder/0` and `folder/1`, at any depth, sorted by class and path.

    `folder/manifest.csv` may say, by its column `file` (path relative to `folder`), which `patient` each
    image shows and which `split` it belongs to. Its other columns are kept, such as the device or the site an
    image comes from; one that says two things of a file is about something else and is left out.

    Raises:
        PreprocessingError: the folder or a class is missing or empty, or manifest.csv does not fit.
    """
    records = []
    for label in CLASSES:
        paths = [path for path in (folder / str(label)).rglob("*") if _is_image(path)]
        if not paths:
            raise _nothing_found(folder, label)
        files = sorted(path.relative_to(folder).as_posix() for path in paths)
        records += [ImageRecord(file, label) for file in files]
    columns = _read_columns(folder / MANIFEST)
    for column in [name for name in KNOWN_COLUMNS if name in columns]:
        values = columns.pop(column)
        missing = [record.file for record in records if not values.get(record.file)]
        if missing:
            raise PreprocessingError(
                f"{folder / MANIFEST}: no {column} for {counted(len(missing), 'image')}: "
                f"{name_some(missing)}; add a row with file and {column} for each, or move the images away"
            )
        records = [replace(record, **{column: values[record.file]}) for record in records]
    unknown = [f"{item.file} ({item.split})" for item in records if item.split not in (None, *SPLITS)]
    if unknown:
        raise PreprocessingError(
            f"{folder / MANIFEST}: column split: expected {', '.join(SPLITS)}, "
            f"received something else for {counted(len(unknown), 'image')}: {name_some(unknown)}"
        )
    if columns:
        records = [
            replace(record, columns={name: values.get(record.file, "") for name, values in columns.items()})
            for record in records
        ]
    return records


def _is_image(path: Path) -> bool:
    """Hidden files are passed over: macOS leaves `._image.png` beside images copied to other disks."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _nothing_found(folder: Path, label: int) -> PreprocessingError:
    missing = next((path for path in (folder, folder / str(label)) if not path.is_dir()), None)
    return PreprocessingError(
        (f"{missing}: folder not found" if missing else f"{folder / str(label)}: no images in this folder")
        + f"; expected {folder}/0 with non-cancerous and {folder}/1 with cancerous images "
        f"({', '.join(sorted(SUFFIXES))}); --data-dir names another folder"
    )


def _read_columns(manifest: Path) -> dict[str, dict[str, Any]]:
    """The columns of manifest.csv but `file`: their values by file."""
    if not manifest.exists():
        return {}
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines)
            names = rows.fieldnames or ()
            known = [name for name in KNOWN_COLUMNS if name in names]
            if known and "file" not in names:
                raise PreprocessingError(
                    f"{manifest}: has a column {' and '.join(known)} but no column file; "
                    "add it (0/image.png, …)"
                )
            return _collect(manifest, [name for name in names if name not in ("file", "")], rows)
    except (csv.Error, UnicodeDecodeError) as error:
        raise PreprocessingError(f"{manifest}: {error}; save it as a UTF-8 CSV file") from None


def _collect(manifest: Path, names: list[str], rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The values of these columns by file; see `find_images`."""
    columns: dict[str, dict[str, Any]] = {name: {} for name in names}
    ambiguous = set()
    for row in rows:
        if "file" not in row:
            return {}
        file = PurePosixPath((row["file"] or "").strip().replace("\\", "/")).as_posix()
        for name, values in columns.items():
            value = (row[name] or "").strip()
            if values.setdefault(file, value) != value:
                if name in KNOWN_COLUMNS:
                    raise PreprocessingError(f"{manifest}: {file} has two {name}s; keep one row for it")
                ambiguous.add(name)
    return {name: values for name, values in columns.items() if name not in ambiguous}


def read_image(path: Path, shape: tuple[int, int]) -> tuple[np.ndarray, str]:
    """Read one image file.

    Args:
        path: PNG, JPEG, BMP, TIFF or PGM; grey, RGB or RGBA (alpha is dropped); 8 or 16 bit.
        shape: height and width to resize to.

    Returns:
        image: uint8 (*shape, 3), RGB, 0-255.  sha256 of the file, hex.

    Raises:
        UnreadableImageError: empty, damaged, of another kind, or not to be opened.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableImageError(error.strerror or "cannot be opened") from None
    if not data:
        raise UnreadableImageError("empty file")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise UnreadableImageError("damaged, or not an image")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise UnreadableImageError(f"pixels are {pixels.dtype}, expected 8 or 16 bit whole numbers")
    return to_rgb(pixels, shape), hashlib.sha256(data).hexdigest()


def to_rgb(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize, reduce to 8 bit and bring to RGB what OpenCV decoded.

    A 16-bit image is not stretched to its own extremes: brightness stays comparable between images.

    Args:
        pixels: uint8 or uint16 (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA.
        shape: height and width of the result.

    Returns:
        uint8 (*shape, 3), RGB, 0-255.
    """
    # Scanners store 12 bits in 16-bit files; such a file would be almost black if 65535 were white.
    white = 255 if pixels.dtype == np.uint8 else 4095 if pixels.max() <= 4095 else 65535
    height, width = shape
    if pixels.shape[:2] != (height, width):
        shrinks = height < pixels.shape[0] or width < pixels.shape[1]
        pixels = cv2.resize(
            pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
    if white != 255:
        pixels = np.rint(pixels * np.float32(255 / white)).astype(np.uint8)
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)
