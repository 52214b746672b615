"""The two-class sets of MedMNIST, downloaded or local, as lossless PNGs with the official splits."""

import csv
import hashlib
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPException
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.errors import PreprocessingError
from preprocessing.sources.image_folder import find_images
from preprocessing.sources.manifest_csv import MANIFEST
from preprocessing.sources.records import ImageSet
from preprocessing.sources.written_folder import written_folder
from preprocessing.splitting import SPLITS

RECORD = "https://zenodo.org/records/10519652/files/"
SIZES = (28, 64, 128, 224)
TIMEOUT_S = 60
PIECE = 2**20  # bytes read at once
LICENCE = "CC BY 4.0 (MedMNIST v2, https://medmnist.com, and the authors of the images)"
README = """MedMNIST: {dataset}

Written from {npz}: {name}, with the official splits. Licence: CC BY 4.0,
https://creativecommons.org/licenses/by/4.0/. Nothing was changed but the file format.

Yang, J., Shi, R., Wei, D., Liu, Z., Zhao, L., Ke, B., Pfister, H., & Ni, B. (2023). MedMNIST v2 - A
large-scale lightweight benchmark for 2D and 3D biomedical image classification. Scientific Data 10:41.
https://doi.org/10.1038/s41597-022-01721-8
{source}
"""
Progress = Callable[[str, int, int], None]  # called with the step, how much is done and of how much


@dataclass(frozen=True)
class Set:
    """A set: its name, what its labels 0 and 1 mean, which of these is 1 here, whose images; MD5 by size."""

    name: str
    classes: tuple[str, str]
    positive: str
    source: str
    checksums: dict[int, str]


SETS = {
    "breastmnist": Set(
        "BreastMNIST",
        ("malignant", "normal, benign"),
        "malignant",
        "Images: Al-Dhabyani, W., Gomaa, M., Khaled, H., & Fahmy, A. (2020). Dataset of breast ultrasound "
        "images. Data in Brief 28:104863.",
        {
            28: "750601b1f35ba3300ea97c75c52ff8f6",
            64: "742edef2a1fd1524b2efff4bd7ba9364",
            128: "363e4b3f8d712e9b5de15470a2aaadf1",
            224: "b56378a6eefa9fed602bb16d192d4c8b",
        },
    ),
    "pneumoniamnist": Set(
        "PneumoniaMNIST",
        ("normal", "pneumonia"),
        "pneumonia",
        "Images: Kermany, D. S., et al. (2018). Identifying medical diagnoses and treatable diseases by "
        "image-based deep learning. Cell 172(5):1122-1131.",
        {
            28: "28209eda62fecd6e6a2d98b1501bb15f",
            64: "8f4eceb4ccffa70c672198ea285246c6",
            128: "05b46931834c231683c68f40c47b2971",
            224: "d6a3c71de1b945ea11211b03746c1fe1",
        },
    ),
}
OTHERS = {
    "pathmnist": 9, "dermamnist": 7, "octmnist": 4, "retinamnist": 5, "bloodmnist": 8, "tissuemnist": 8,
    "organamnist": 11, "organcmnist": 11, "organsmnist": 11, "chestmnist": 14,
}  # fmt: skip
"""How many classes (findings, in chestmnist) the other 2-D sets have."""


def find_medmnist(folder: Path, dataset: str, size: int, npz: Path | None, progress: Progress) -> ImageSet:
    """Write the images of a set to a folder and list them; labels are such that 1 is the disease.

    Args:
        folder: made if missing; beside it the download is kept.
        dataset: a key of SETS.
        size: one of SIZES, pixels of a side.
        npz: the set's file, if it is here already; `size` and checksum then do not matter.
        progress: told of the download and of the images written.

    Raises:
        PreprocessingError: no such set, not to be had, another file than expected, or `folder` holds
            something else.
    """
    if dataset in OTHERS:
        raise PreprocessingError(
            f"--dataset: two classes are supported; {dataset} has {OTHERS[dataset]}; choose {_or(SETS)}"
        )
    if dataset not in SETS:
        raise PreprocessingError(f"--dataset: received {dataset!r}, expected {_or(SETS)}")
    if size not in SIZES:
        raise PreprocessingError(f"--size: received {size}, expected {_or(map(str, SIZES))}")
    if npz and folder.resolve() in npz.resolve().parents:
        raise PreprocessingError(f"--npz: {npz} lies in {folder}, which is written anew; move it elsewhere")
    about = SETS[dataset]
    file = npz or _fetch(folder.parent, dataset, size, progress)
    readme = README.format(dataset=dataset, npz=file.name, name=about.name, source=about.source)
    with written_folder(folder, readme) as scratch:
        _write_images(scratch, file, about, progress)
    negative = next(name for name in about.classes if name != about.positive)
    note = f"{about.name}: 1 = {about.positive}, 0 = {negative}"
    if about.classes[0] == about.positive:
        note += f". TURNED ROUND: in the .npz 0 is {about.positive} and 1 is {negative}"
    more = {"licence": LICENCE, "notes": [note], "options": {"dataset": dataset, "npz": file.name}}
    return replace(find_images(folder, about.positive), about=more)


def _or(names: Iterable[str]) -> str:
    return " or ".join(names)


def _fetch(folder: Path, dataset: str, size: int, progress: Progress) -> Path:
    """The set's file in `folder`, downloaded if it is not there yet.

    Raises:
        PreprocessingError: it cannot be had, or is not what was published.
    """
    file = folder / f"{dataset}{'' if size == SIZES[0] else f'_{size}'}.npz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
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
            f"{url}: cannot be downloaded ({error}); fetch it on another machine and give it with --npz FILE"
        ) from None


def _check(file: Path, expected: str, name: str) -> None:
    with file.open("rb") as content:
        found = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != expected:
        raise PreprocessingError(
            f"{name}: MD5 {found}, expected {expected}; delete it if it is here, and try again"
        )


def _write_images(folder: Path, npz: Path, about: Set, progress: Progress) -> None:
    """Write `<split>/<number>.png` and manifest.csv.

    Raises:
        PreprocessingError: not a file of MedMNIST, or one of another number of classes.
    """
    rows = [("file", "label", "split")]
    for split in SPLITS:
        images, labels = _load(npz, split)
        (folder / split).mkdir()
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            file = f"{split}/{number:05d}.png"
            pixels = image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1])
            (folder / file).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
            rows.append((file, about.classes[label], split))
            progress(f"Writing images, {split}", number + 1, len(images))
    with (folder / MANIFEST).open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines, lineterminator="\n").writerows(rows)


def _load(npz: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    """Images uint8 (N, H, W) or (N, H, W, 3) RGB, and labels (N,), 0 or 1.

    Raises:
        PreprocessingError: as `_write_images`.
    """
    try:
        with np.load(npz, allow_pickle=False) as arrays:
            images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
    except FileNotFoundError:
        raise PreprocessingError(f"{npz}: not found; --npz names a file of MedMNIST") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise PreprocessingError(f"{npz}: is no file of MedMNIST ({error}); download it again") from None
    is_grey, is_colour = images.ndim == 3, images.ndim == 4 and images.shape[3] == 3
    fits = images.dtype == np.uint8 and (is_grey or is_colour) and labels.shape == (len(images), 1)
    if not fits:
        raise PreprocessingError(
            f"{npz}: {split} has images {images.dtype} {images.shape} and labels {labels.shape}, expected "
            "uint8 (N, H, W) or (N, H, W, 3) and (N, 1)"
        )
    if not np.isin(labels, (0, 1)).all():
        raise PreprocessingError(
            f"{npz}: two classes are supported; {split} has {len(np.unique(labels))} labels; is it the set "
            "that --dataset names?"
        )
    return images, labels.reshape(-1)
