"""Images in a folder for each class, numbered or named, or anywhere where manifest.csv gives labels."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.errors import PreprocessingError
from preprocessing.prepare.sources.class_names import name_classes
from preprocessing.prepare.sources.manifest_csv import (
    LABEL,
    MANIFEST,
    add_columns,
    check_listed,
    read_columns,
)
from preprocessing.prepare.sources.records import (
    ImageFile,
    ImageRecord,
    ImageSet,
    ImageShape,
    UnreadableImageError,
)

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm"}
KINDS = ", ".join(sorted(SUFFIXES))


def is_picture(path: Path) -> bool:
    """Whether a file is an image by its name."""
    return path.suffix.lower() in SUFFIXES


def find_images(
    folder: Path,
    positive: str = "",
    class_names: Sequence[str] = (),
    is_image: Callable[[Path], bool] = is_picture,
    kinds: str = KINDS,
) -> ImageSet:
    """List the images below a folder, sorted by label and path, as files that `read_image` reads.

    With a column `label` in `folder/manifest.csv`, those that it lists; else those at any depth in `0/`,
    `1/` and so on, or in the other folders, named by class, that hold images. For the other columns see
    `manifest_csv`.

    Args:
        folder: of the images.
        positive: of two classes, the name of the one that is 1, where names leave a doubt.
        class_names: CLASS_NAMES, or empty; see `name_classes`.
        is_image: tells images from other files.
        kinds: which files those are, in words.

    Raises:
        PreprocessingError: the folder or a class is missing or empty, there are fewer than two classes,
            their order is not known, or manifest.csv does not fit.
    """
    manifest = folder / MANIFEST
    columns = read_columns(manifest)
    if LABEL in columns:
        named = columns[LABEL]
        check_listed(manifest, named, _files_below(folder, folder, is_image))
    else:
        named = _named_by_folder(folder, is_image, kinds)
    where = f"column label of {manifest}" if LABEL in columns else str(folder)
    if columns and LABEL not in columns:
        where += f", whose {MANIFEST} has no column label,"
    classes, order = name_classes(set(named.values()), positive, class_names, where)
    records = [ImageRecord(file, order.index(name)) for file, name in named.items()]
    records.sort(key=lambda record: (record.label, record.file))
    return ImageSet(add_columns(manifest, records, columns), classes, read_image)


def _named_by_folder(folder: Path, is_image: Callable[[Path], bool], kinds: str) -> dict[str, str]:
    """The name of its class for every image: numbers where there is a folder `0` or `1`, else any folder's.

    Raises:
        PreprocessingError: one of the numbered folders, from 0 to the last, is missing or empty, or no
            folder has images.
    """
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    names = [path.name for path in there if path.is_dir() and path.name[0] != "."]
    numbers = [int(name) for name in names if name.isdecimal() and name == str(int(name))]
    is_numbered = 0 in numbers or 1 in numbers
    found: dict[str, list[str]] = {}
    for name in map(str, range(max(1, *numbers) + 1)) if is_numbered else names:
        found[name] = _files_below(folder / name, folder, is_image)
        if is_numbered and not found[name]:
            last = max(numbers)
            because = f" (numbered folders are classes, and there is {last}/)" if last > 1 else ""
            raise PreprocessingError(_no_images(folder, folder / name, kinds, because))
    if not any(found.values()):
        raise PreprocessingError(_no_images(folder, folder / "0", kinds))
    return {file: name for name, files in found.items() for file in files}


def _no_images(folder: Path, empty: Path, kinds: str, because: str = "") -> str:
    missing = next((path for path in (folder, empty) if not path.is_dir()), None)
    return (
        (f"{missing}: folder not found" if missing else f"{empty}: no images in this folder")
        + because
        + f"; expected {folder}/0 with non-cancerous and {folder}/1 with cancerous images ({kinds}), more "
        "classes numbered without a gap, folders with the names of classes, or a manifest.csv with the "
        "columns file and label; --data-dir names another folder"
    )


def _files_below(folder: Path, root: Path, is_image: Callable[[Path], bool]) -> list[str]:
    """Images in a folder at any depth, relative to `root`.

    Hidden files are passed over: macOS leaves `._image.png` beside images copied to other disks.
    """
    paths = folder.rglob("*")
    found = (path for path in paths if not path.name.startswith(".") and path.is_file() and is_image(path))
    return [path.relative_to(root).as_posix() for path in found]


def read_image(path: Path, shape: ImageShape) -> ImageFile:
    """Read one image file.

    Args:
        path: PNG, JPEG, BMP, TIFF or PGM; gray, RGB or RGBA (alpha is dropped); 8 or 16 bit.
        shape: height and width to resize to, and channels to bring it to.

    Raises:
        UnreadableImageError: empty, damaged, of another kind, or not to be opened.
    """
    data = read_bytes(path)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise UnreadableImageError("damaged, or not an image")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise UnreadableImageError(f"pixels are {pixels.dtype}, expected 8 or 16 bit whole numbers")
    if pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4):
        raise UnreadableImageError(f"{pixels.shape[2]} channels, expected 1, 3 or 4")
    return ImageFile(fit_image(pixels, shape), hashlib.sha256(data).hexdigest())


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        UnreadableImageError: empty, or not to be opened.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableImageError(error.strerror or "cannot be opened") from None
    if not data:
        raise UnreadableImageError("empty file")
    return data


def fit_image(pixels: np.ndarray, shape: ImageShape) -> NDArray[np.uint8]:
    """Resize, reduce to 8 bit and bring to RGB or gray what OpenCV decoded.

    A 16-bit image is not stretched to its own extremes: brightness stays comparable between images.

    Args:
        pixels: uint8 or uint16 (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA.
        shape: height, width and channels of the result.

    Returns:
        uint8 `shape`, RGB or gray, 0-255.
    """
    # Scanners store 12 bits in 16-bit files; such a file would be almost black if 65535 were white.
    white = 255 if pixels.dtype == np.uint8 else 4095 if pixels.max() <= 4095 else 65535
    height, width, channels = shape
    if pixels.shape[:2] != (height, width):
        shrinks = height < pixels.shape[0] or width < pixels.shape[1]
        pixels = cv2.resize(
            pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
    if white != 255:
        pixels = np.rint(pixels * np.float32(255 / white)).astype(np.uint8)
    kind = 1 if pixels.ndim == 2 else pixels.shape[2]
    if kind != channels or kind == 3:
        pixels = cv2.cvtColor(pixels, CONVERSIONS[kind, channels])
    image: NDArray[np.uint8] = pixels.reshape(shape)
    return image


CONVERSIONS = {
    (1, 3): cv2.COLOR_GRAY2RGB,
    (3, 3): cv2.COLOR_BGR2RGB,
    (4, 3): cv2.COLOR_BGRA2RGB,
    (3, 1): cv2.COLOR_BGR2GRAY,
    (4, 1): cv2.COLOR_BGRA2GRAY,
}
"""From the channels that OpenCV decoded to ours."""
