"""Images in one folder per class, numbered or named, or in any folder if manifest.csv has their labels."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from helpers.global_config import Config
from preprocessing.errors import PreprocessingError, counted, name_some
from preprocessing.feed.prepared_data import LABEL
from preprocessing.prepare.sources.class_names import name_classes
from preprocessing.prepare.sources.files_below import files_below
from preprocessing.prepare.sources.image_header import read_header, turn
from preprocessing.prepare.sources.manifest_csv import add_columns, check_listed, read_columns
from preprocessing.prepare.sources.manifest_table import MANIFEST, find_manifest
from preprocessing.prepare.sources.masks import find_masks, is_mask_name
from preprocessing.prepare.sources.records import (
    ImageFile,
    ImageRecord,
    ImageSet,
    ImageShape,
    UnreadableImageError,
)
from preprocessing.prepare.sources.source import POSITIVE_CLASS, Progress, Source

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm"}
KINDS = ", ".join(sorted(SUFFIXES))


def is_picture(path: Path) -> bool:
    """Return whether a file has the suffix of an image."""
    return path.suffix.lower() in SUFFIXES


def find_images(
    folder: Path,
    positive: str = "",
    class_names: Sequence[str] = (),
    is_image: Callable[[Path], bool] = is_picture,
    kinds: str = KINDS,
) -> ImageSet:
    """List the images below a folder, sorted by label and path, to be read by `read_image`.

    If `folder/manifest.csv` has a column `label`, they are the images that it lists. Otherwise they are those
    at any depth in `0/`, `1/` and so on, or in folders named by class. `manifest_csv` describes the other
    columns.

    Args:
        folder: folder of the images.
        positive: name of the class that is 1, where two names leave it open.
        class_names: CLASS_NAMES, or empty; see `name_classes`.
        is_image: returns whether a file is an image.
        kinds: the kinds of files that `is_image` accepts, in words.

    Raises:
        PreprocessingError: the folder or a class is missing or empty, there are fewer than two classes,
            their order is unknown, or manifest.csv does not match the images.
    """
    manifest = find_manifest(folder)
    columns, notes = read_columns(manifest)
    files = _files_below(folder, is_image)
    masks = find_masks(files)
    if LABEL in columns:
        class_of = {file: name for file, name in columns[LABEL].items() if file not in masks}
        check_listed(manifest, class_of, [file for file in files if file not in masks])
    else:
        images = [file for file in files if file not in masks]
        class_of = _class_of_folder(folder, images, kinds)
        if outside := [file for file in images if file not in class_of]:
            notes.append(f"Left out, in no class folder ({len(outside)}): {name_some(outside)}")
    where = f"column label of {manifest}" if LABEL in columns else str(folder)
    if masks:
        where += f", without {counted(len(masks), 'mask')} such as {masks[0]},"
        notes.append(
            f"Left out, masks by their names ({len(masks)}): {name_some(masks)}. "
            "Rename them if they are images"
        )
    if columns and LABEL not in columns:
        listed = next(iter(columns.values()))
        if unknown := [file for file in listed if file not in class_of and file not in masks]:
            notes.append(f"{MANIFEST}: {counted(len(unknown), 'row')} without an image: {name_some(unknown)}")
        where += f", whose {MANIFEST} has no column label,"
    classes, order = name_classes(set(class_of.values()), positive, class_names, where)
    records = [ImageRecord(file, order.index(name)) for file, name in class_of.items()]
    records.sort(key=lambda record: (record.label, record.file))
    metadata = {"notes": notes} if notes else {}
    return ImageSet(add_columns(manifest, records, columns), classes, read_image, metadata)


def _class_of_folder(folder: Path, images: Sequence[str], kinds: str) -> dict[str, str]:
    """Return the class of every image: a numbered folder if there is a `0` or `1`, else a named one.

    Args:
        folder: folder of the classes.
        images: all images below it, without masks.
        kinds: as in `find_images`.

    Raises:
        PreprocessingError: a numbered folder, from 0 to the last, is missing or empty, or no folder has
            images.
    """
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    names = [path.name for path in entries if path.is_dir() and path.name[0] != "."]
    names = [name for name in names if not is_mask_name(name)]
    below: dict[str, list[str]] = {}
    for file in images:
        below.setdefault(file.split("/")[0], []).append(file)
    numbers = [int(name) for name in names if name.isdecimal() and name == str(int(name))]
    is_numbered = 0 in numbers or 1 in numbers
    files_of: dict[str, list[str]] = {}
    for name in map(str, range(max(1, *numbers) + 1)) if is_numbered else names:
        files_of[name] = below.get(name, [])
        if is_numbered and not files_of[name]:
            last = max(numbers)
            because = f" (numbered folders are classes, and the last is {last}/)" if last > 1 else ""
            raise PreprocessingError(_no_images(folder, folder / name, kinds, because))
    if not any(files_of.values()):
        raise PreprocessingError(_no_images(folder, folder / "0", kinds))
    return {file: name for name, files in files_of.items() for file in files}


def _no_images(folder: Path, empty: Path, kinds: str, because: str = "") -> str:
    missing = next((path for path in (folder, empty) if not path.is_dir()), None)
    return (
        (f"{missing}: folder not found" if missing else f"{empty}: no images in this folder")
        + because
        + f"; expected {folder}/0 with non-cancerous and {folder}/1 with cancerous images ({kinds}), more "
        "classes numbered without a gap, folders named by class, or a manifest.csv with the "
        "columns file and label; name another folder (in `prepare` and `train` with --data-dir)"
    )


def _files_below(root: Path, is_image: Callable[[Path], bool]) -> list[str]:
    """Return the images in a folder at any depth, relative to it."""
    return [path.relative_to(root).as_posix() for path in files_below(root) if is_image(path)]


def read_image(path: Path, shape: ImageShape) -> ImageFile:
    """Read one image file.

    Args:
        path: PNG, JPEG, BMP, TIFF or PGM; gray, RGB or RGBA (alpha is dropped); 8 or 16 bit. Its header is
            followed: orientation, white, whether 0 is white.
        shape: height, width and channels of the result.

    Raises:
        UnreadableImageError: empty, damaged, of another kind, with several pages, or not readable.
    """
    data = read_bytes(path)
    header = read_header(data)
    try:
        pixels = cv2.imdecode(np.frombuffer(header.data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise UnreadableImageError("damaged, or not an image")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise UnreadableImageError(f"pixels are {pixels.dtype}, expected 8 or 16 bit whole numbers")
    if pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4):
        raise UnreadableImageError(f"{pixels.shape[2]} channels, expected 1, 3 or 4")
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = np.ascontiguousarray(pixels[..., :3])  # an alpha channel says nothing about white
    white = header.white or _white(pixels)
    if header.is_inverted:
        pixels = white - pixels
    pixels = turn(pixels, header.orientation)
    return ImageFile(fit_image(pixels, shape, white), hashlib.sha256(data).hexdigest())


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        UnreadableImageError: empty, or not readable.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableImageError(error.strerror or "cannot be opened") from None
    if not data:
        raise UnreadableImageError("empty file")
    return data


def fit_image(pixels: np.ndarray, shape: ImageShape, white: int | None = None) -> NDArray[np.uint8]:
    """Resize an image decoded by OpenCV, reduce it to 8 bit and convert it to RGB or gray.

    A 16-bit image is not stretched to its own extremes, so brightness stays comparable between images.

    Args:
        pixels: uint8 or uint16 (H, W), (H, W, 1) or (H, W, 3) BGR.
        shape: height, width and channels of the result.
        white: the value of white, if the file states it.

    Returns:
        uint8 `shape`, RGB or gray, 0-255.
    """
    white = white or _white(pixels)
    height, width, channels = shape
    if pixels.shape[:2] != (height, width):
        shrinks = height < pixels.shape[0] or width < pixels.shape[1]
        pixels = cv2.resize(
            pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
    if white != 255:
        pixels = np.rint(np.minimum(pixels, white) * np.float32(255 / white)).astype(np.uint8)
    decoded = 1 if pixels.ndim == 2 else pixels.shape[2]
    if decoded != channels or decoded == 3:
        pixels = cv2.cvtColor(pixels, CONVERSIONS[decoded, channels])
    image: NDArray[np.uint8] = pixels.reshape(shape)
    return image


def _white(pixels: np.ndarray) -> int:
    # Scanners store 12 bits in 16-bit files. With 65535 as white these would be almost black.
    return 255 if pixels.dtype == np.uint8 else 4095 if pixels.max() <= 4095 else 65535


CONVERSIONS = {
    (1, 3): cv2.COLOR_GRAY2RGB,
    (3, 3): cv2.COLOR_BGR2RGB,
    (3, 1): cv2.COLOR_BGR2GRAY,
}
"""OpenCV's conversion by (channels decoded, channels of the result)."""


def _find(config: Config, _progress: Progress, *, positive_class: str) -> ImageSet:
    return find_images(config.DATA_DIR, positive_class, config.CLASS_NAMES)


SOURCE = Source(
    "your images",
    _find,
    options=(POSITIVE_CLASS,),
    examples=(
        "--data-dir my_images --input-shape 64,64 --input-dim 1",
        "--data-dir my_images --positive-class carcinoma",
        "--data-dir my_images --class-names normal,benign,malignant",
    ),
)
