"""Sets of MedMNIST, downloaded or local, as lossless PNGs with the official splits."""

import csv
import hashlib
import lzma
import math
import tokenize
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from helpers.global_config import Config
from preprocessing.errors import PreprocessingError
from preprocessing.feed.prepared_data import SPLITS
from preprocessing.prepare.sources.class_names import name_classes
from preprocessing.prepare.sources.image_folder import find_images
from preprocessing.prepare.sources.manifest_table import MANIFEST
from preprocessing.prepare.sources.medmnist_sets import SETS, Set
from preprocessing.prepare.sources.records import ImageSet
from preprocessing.prepare.sources.source import Option, Progress, Source
from preprocessing.prepare.sources.written_folder import kept_if_filled, written_folder

RECORD = "https://zenodo.org/records/10519652/files/"
SIZES = (28, 64, 128, 224)
TIMEOUT_S = 60
LARGEST_SIDE = 1024  # pixels
MOST_IMAGES = 10**7
PIECE = 2**20  # bytes per read
LICENSE = "{} (MedMNIST v2, https://medmnist.com, and the authors of the images)"
README = """MedMNIST: {dataset}

Written from {npz}: {name}, with the official splits. License: {license},
https://creativecommons.org/licenses/{kind}/{version}/. Nothing was changed but the file format.

Yang, J., Shi, R., Wei, D., Liu, Z., Zhao, L., Ke, B., Pfister, H., & Ni, B. (2023). MedMNIST v2 - A
large-scale lightweight benchmark for 2D and 3D biomedical image classification. Scientific Data 10:41.
https://doi.org/10.1038/s41597-022-01721-8
{source}
"""
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
"""Readers of the header of a .npy file, by its version."""
MULTI_LABEL = "chestmnist"


def find_medmnist(
    folder: Path, dataset: str, size: int, npz: Path | None, class_names: Sequence[str], progress: Progress
) -> ImageSet:
    """Write the images of a set to a folder and list them. Of two classes, 1 is the disease.

    Args:
        folder: made if missing; the download is kept next to it.
        dataset: a key of SETS.
        size: one of SIZES, pixels per side.
        npz: a local file of the set; `size` and checksum are then ignored.
        class_names: CLASS_NAMES: another order of the set's classes; or empty.
        progress: called during the download and the writing of images.

    Raises:
        PreprocessingError: unknown set, failed download, unexpected file, other classes, or `folder` has
            other content.
    """
    if dataset == MULTI_LABEL:
        raise PreprocessingError(
            f"--dataset: {dataset} is multi-label: an image may show several findings, but training needs "
            f"one class per image; choose one of {', '.join(SETS)}"
        )
    if not dataset:
        raise PreprocessingError(f"--dataset: is needed for MedMNIST: one of {', '.join(SETS)}")
    if dataset not in SETS:
        raise PreprocessingError(f"--dataset: received {dataset!r}, expected one of {', '.join(SETS)}")
    if size not in SIZES:
        raise PreprocessingError(f"--size: received {size}, expected {' or '.join(map(str, SIZES))}")
    if npz and folder.resolve() in npz.resolve().parents:
        raise PreprocessingError(f"--npz: {npz} is in {folder}, which will be overwritten; move it elsewhere")
    if npz and not npz.is_file():
        raise PreprocessingError(f"{npz}: not found; --npz expects a file of MedMNIST")
    chosen = SETS[dataset]
    usual = chosen.classes[::-1] if chosen.is_swapped else chosen.classes
    classes, _ = name_classes(chosen.classes, "", class_names or usual, chosen.name)
    file = npz or _fetch(folder.parent, dataset, size, progress)
    with written_folder(folder, _readme(dataset, file.name)) as scratch:
        _write_images(scratch, file, chosen, progress)
    metadata = {
        "license": LICENSE.format(chosen.license),
        "notes": _notes(chosen, classes),
        "options": {"dataset": dataset, "npz": file.name},
    }
    return replace(find_images(folder, class_names=classes), metadata=metadata)


def _readme(dataset: str, npz: str) -> str:
    _, kind, version = SETS[dataset].license.lower().split()
    return README.format(dataset=dataset, npz=npz, kind=kind, version=version, **vars(SETS[dataset]))


def _notes(chosen: Set, classes: Sequence[str]) -> list[str]:
    """Return notes on the meaning of two classes, and on labels that differ from those in the .npz."""
    if len(classes) > 2:
        if tuple(classes) == chosen.classes:
            return []
        order = ", ".join(f"{label} {name}" for label, name in enumerate(classes))
        return [f"{chosen.name}: OTHER LABELS than in the .npz, by CLASS_NAMES: {order}"]
    note = f"{chosen.name}: 1 = {classes[1]}, 0 = {classes[0]}"
    if tuple(classes) != chosen.classes:
        note += f". SWAPPED: in the .npz 0 is {chosen.classes[0]} and 1 is {chosen.classes[1]}"
    return [note]


def _fetch(folder: Path, dataset: str, size: int, progress: Progress) -> Path:
    """Return the set's file in `folder`, after downloading it if it is missing.

    Raises:
        PreprocessingError: the download failed, or the file is not the published one.
    """
    file = folder / f"{dataset}{'' if size == SIZES[0] else f'_{size}'}.npz"
    if not file.exists():
        part = file.with_suffix(".part")
        with kept_if_filled(folder):
            try:
                _download(RECORD + file.name, part, partial(progress, f"Downloading {file.name}, bytes"))
                _check(part, SETS[dataset].checksums[size], RECORD + file.name)
                part.replace(file)
            finally:
                part.unlink(missing_ok=True)
    _check(file, SETS[dataset].checksums[size], str(file))
    return file


def _download(url: str, target: Path, progress: Callable[[int, int], None]) -> None:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer, target.open("wb") as file:
            total = int(answer.headers.get("Content-Length") or 0)
            while piece := answer.read(PIECE):
                file.write(piece)
                progress(file.tell(), max(total, file.tell()))
    except (OSError, HTTPException) as error:
        raise PreprocessingError(
            f"{url}: cannot be downloaded ({error}); fetch it on another machine and use --npz FILE"
        ) from None


def _check(file: Path, expected: str, name: str) -> None:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if digest != expected:
        raise PreprocessingError(
            f"{name}: MD5 {digest}, expected {expected}; delete the file if it is on this machine, and try "
            "again"
        )


def _write_images(folder: Path, npz: Path, chosen: Set, progress: Progress) -> None:
    """Write `<split>/<number>.png` and manifest.csv.

    Raises:
        PreprocessingError: not a file of MedMNIST, or a file with another number of classes.
    """
    rows = [("file", "label", "split")]
    with _reading(npz):
        archive = zipfile.ZipFile(npz)
    with archive:
        for split in SPLITS:
            images, labels = _open_split(archive, npz, split, len(chosen.classes))
            (folder / split).mkdir()
            for number, (image, label) in enumerate(zip(images, labels, strict=True)):
                file = f"{split}/{number:05d}.png"
                pixels = image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1])
                (folder / file).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
                rows.append((file, chosen.classes[label], split))
                progress(f"Writing images, {split}", number + 1, len(labels))
    present = {name for _, name, _ in rows[1:]}
    classes = enumerate(chosen.classes)
    if missing := [f"class {label} ({name})" for label, name in classes if name not in present]:
        raise PreprocessingError(
            f"{npz}: no image of {', '.join(missing)}; check that it is the set of --dataset"
        )
    with (folder / MANIFEST).open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines, lineterminator="\n").writerows(rows)


@contextmanager
def _reading(npz: Path) -> Iterator[None]:
    """Translate the errors of zipfile, its decompressors and NumPy on damaged bytes.

    Raises:
        PreprocessingError: with the original message.
    """
    try:
        yield
    except (
        ValueError, KeyError, EOFError, OSError, RuntimeError, SyntaxError, tokenize.TokenError,
        zipfile.BadZipFile, zlib.error, lzma.LZMAError,
    ) as error:  # fmt: skip
        raise PreprocessingError(f"{npz}: not a file of MedMNIST ({error}); download it again") from None


def _open_split(
    archive: zipfile.ZipFile, npz: Path, split: str, num_classes: int
) -> tuple[Iterator[NDArray[np.uint8]], NDArray[np.integer]]:
    """Return images, uint8 (H, W) or (H, W, 3) RGB, and labels (N,).

    Images are yielded one by one, because a large set exceeds memory.

    Raises:
        PreprocessingError: as in `_write_images`.
    """
    for name in (f"{split}_images", f"{split}_labels"):
        if f"{name}.npy" not in archive.namelist():
            raise PreprocessingError(f"{npz}: not a file of MedMNIST (no {name}); download it again")
    with _reading(npz):
        stream, shape, dtype = _open_array(archive, f"{split}_images.npy")
        label_stream, label_shape, label_dtype = _open_array(archive, f"{split}_labels.npy")
    is_image = len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)
    fits = dtype == np.uint8 and is_image and all(1 <= side <= LARGEST_SIDE for side in shape[1:3])
    fits = fits and 0 < shape[0] <= MOST_IMAGES
    if not fits or label_shape != (shape[0], 1) or label_dtype.kind not in "iu":
        raise PreprocessingError(
            f"{npz}: {split} has images {dtype} {shape} and labels {label_dtype} "
            f"{label_shape}, expected uint8 (N, H, W) or (N, H, W, 3) and whole numbers (N, 1)"
        )
    with _reading(npz):
        labels = np.frombuffer(label_stream.read(shape[0] * label_dtype.itemsize), label_dtype)
        if len(labels) < shape[0]:
            raise EOFError(f"{split}_labels.npy is truncated")
    if not np.isin(labels, range(num_classes)).all():
        raise PreprocessingError(
            f"{npz}: {split} has labels from {labels.min()} to {labels.max()}, expected 0 to "
            f"{num_classes - 1}; check that it is the set of --dataset"
        )
    return _images(stream, npz, shape), labels


def _images(stream: IO[bytes], npz: Path, shape: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    for _ in range(shape[0]):
        with _reading(npz):
            image = np.frombuffer(stream.read(math.prod(shape[1:])), np.uint8).reshape(shape[1:])
        yield image


def _open_array(archive: zipfile.ZipFile, name: str) -> tuple[IO[bytes], tuple[int, ...], np.dtype[Any]]:
    """Open an array at its first value; return the stream, shape and dtype."""
    stream = archive.open(name)
    shape, is_fortran, dtype = HEADERS[np.lib.format.read_magic(stream)](stream)
    if is_fortran and len(shape) > 1:
        raise ValueError(f"{name} is in Fortran order")
    return stream, shape, dtype


def _find(config: Config, progress: Progress, *, dataset: str, size: int, npz: Path | None) -> ImageSet:
    return find_medmnist(config.DATA_DIR, dataset, size, npz, config.CLASS_NAMES, progress)


SOURCE = Source(
    "a 2-D set of MedMNIST, downloaded or local",
    _find,
    options=(
        Option("dataset", f"one of {', '.join(SETS)}"),
        Option("size", "pixels per side: 28, 64, 128 or 224", 128, int, "PIXELS"),
        Option("npz", "a local file of the set, instead of a download", None, Path, "FILE"),
    ),
    data_dir="medmnist/{dataset}_{size}",
    examples=("--dataset breastmnist --size 64", "--dataset bloodmnist --size 64"),
)
