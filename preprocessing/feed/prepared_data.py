"""The prepared arrays on disk.

A folder has `x_<split>.npy` and `y_<split>.npy` for the splits train, val and test, and manifest.json. The
manifest is written last, so that its presence means complete, matching arrays.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from helpers.settings.types import USUAL_CLASS_NAMES
from preprocessing.errors import COMMAND, PreprocessingError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
LABEL = "label"
SPLITS = ("train", "val", "test")
RGB = 3


def array_name(kind: str, split: str) -> str:
    """Return the file name of the images (kind `x`) or labels (`y`) of a split."""
    return f"{kind}_{split}.npy"


@dataclass(frozen=True, eq=False)
class PreparedData:
    """Splits of images and labels in a folder, which are read on demand.

    Attributes:
        folder: folder of the arrays.
        manifest: source, classes, settings, kind of split, audit, counts per split and class, and every
            file with its split, row and group; sha256 of the arrays. Manifests of earlier versions have
            fewer entries.
        digest: sha256 of manifest.json, hex. It covers the settings and the sha256 of every image file.
    """

    folder: Path
    manifest: dict[str, Any]
    digest: str

    @classmethod
    def open(cls, folder: Path) -> "PreparedData":
        """Open prepared data; repeated calls are cheap while it is unchanged.

        Raises:
            PreprocessingError: missing, incomplete or of another format version.
        """
        path = Path(folder).resolve() / MANIFEST
        try:
            status = path.stat()
        except FileNotFoundError:
            raise PreprocessingError(f"{path}: not found; prepare the images first: {COMMAND}") from None
        return _open(path, status.st_mtime_ns, status.st_size)

    @classmethod
    def find(cls, folder: Path, digest: str) -> "PreparedData | None":
        """Return the prepared images with this digest, from a folder or one level below it."""
        if (folder / MANIFEST).is_file() and (data := cls.open(folder)).digest == digest:
            return data
        for path in sorted(folder.glob(f"*/{MANIFEST}")):
            if hashlib.sha256(path.read_bytes()).hexdigest() == digest:
                return cls.open(path.parent)
        return None

    def check_arrays(self) -> None:
        """Raise PreprocessingError if an array does not have the sha256 of the manifest, or OSError if it
        cannot be read. A file is read again only if it has changed.
        """
        for name, digest in self.manifest.get("arrays", {}).items():
            status = (path := self.folder / name).stat()
            if _digest(path, status.st_mtime_ns, status.st_size) != digest:
                what = f"{path}: its sha256 differs from the one in {MANIFEST}; copy the whole folder again"
                raise PreprocessingError(f"{what}, or prepare the images again: {COMMAND}")

    def images(self, split: str) -> np.ndarray:
        """Return the images of a split: uint8 (N, H, W, C), RGB or gray, mapped read-only."""
        if split not in self._mapped:
            self._mapped[split] = _map(self.folder / array_name("x", split))
        return self._mapped[split]

    def labels(self, split: str) -> np.ndarray:
        """Return the labels of a split: int32 (N,), 0 to len(class_names) - 1."""
        if split not in self._labels:
            self._labels[split] = np.array(_map(self.folder / array_name("y", split)))
        return self._labels[split]

    def files(self, split: str) -> list[str]:
        """Return the file of each image of a split, in row order, relative to the image folder."""
        return [entry["file"] for entry in self._entries(split)]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image; manifests without channels have 3, RGB."""
        return _image_shape(self.manifest)

    def counts(self) -> dict[str, Any]:
        """Return digest, size, classes and numbers of the images, JSON-ready, nothing about single images."""
        return {
            "data_digest": self.digest,
            "input_shape": list(self.image_shape),
            "classes": list(self.class_names),
            **self.counts_by_split(),
            "patients": [len(set(self.patients(split))) for split in SPLITS] if self.has_patients else [],
        }

    def counts_by_split(self) -> dict[str, list[int]]:
        """Return the number of images of each class in every split, in order of the labels."""
        counts, labels = self.manifest["counts"], range(len(self.class_names))
        return {split: [int(counts[split].get(str(label), 0)) for label in labels] for split in SPLITS}

    @property
    def class_names(self) -> tuple[str, ...]:
        """Meaning of each label, in order of the labels."""
        return tuple(self.manifest.get("classes", USUAL_CLASS_NAMES))

    @cached_property
    def has_patients(self) -> bool:
        """Whether the patient of every image is known."""
        return all(entry.get("patient") is not None for entry in self.manifest["files"])

    def patients(self, split: str) -> list[str]:
        """Return the patient of each image of a split, in row order.

        If unknown, the first file of the image's group, so that a bootstrap draws copies together; the file
        itself in a manifest without groups.
        """
        first: dict[int, str] = {}
        for entry in self.manifest["files"]:
            first.setdefault(entry.get("group", -1), entry["file"])
        return [
            entry.get("patient") or (first[entry["group"]] if "group" in entry else entry["file"])
            for entry in self._entries(split)
        ]

    def groups(self, split: str) -> list[int] | list[str]:
        """Return the group of each image of a split, in row order: images of its patient, and copies.

        In a manifest without groups, the patient.
        """
        entries = self._entries(split)
        if all("group" in entry for entry in entries):
            return [int(entry["group"]) for entry in entries]
        return self.patients(split)

    @cached_property
    def column_names(self) -> list[str]:
        """Names of the columns of manifest.csv but file, patient and split, sorted."""
        return sorted({column for entry in self.manifest["files"] for column in entry.get("columns", ())})

    @property
    def group_columns(self) -> list[str]:
        """Names of the columns that may make groups: `column_names` but `label`, which is the class."""
        return [name for name in self.column_names if name != LABEL]

    def column(self, split: str, name: str, option: str = "SITE_COLUMN") -> list[str]:
        """Return a further column of manifest.csv for each image of a split, in row order.

        Raises:
            PreprocessingError: no such column; `option` is what named it.
        """
        known = self.column_names
        if name not in known:
            columns = f"has the columns {', '.join(known)}" if known else "has no such column"
            raise PreprocessingError(
                f"column {name} of manifest.csv: {self.folder / MANIFEST} {columns}; set {option} to "
                f"another column, or add this one and prepare the images again: {COMMAND}"
            )
        return [entry.get("columns", {}).get(name, "") for entry in self._entries(split)]

    def digests(self, split: str) -> list[str]:
        """Return the sha256 of the file of each image of a split, in row order; empty where unknown."""
        return [entry.get("sha256", "") for entry in self._entries(split)]

    def _entries(self, split: str) -> list[dict[str, Any]]:
        return self._entries_by_split.get(split, [])

    @cached_property
    def _mapped(self) -> dict[str, np.ndarray]:
        """Images by split, kept between rounds: a new map would read its pages from disk again."""
        return {}

    @cached_property
    def _labels(self) -> dict[str, np.ndarray]:
        """Labels by split, read once."""
        return {}

    @cached_property
    def _entries_by_split(self) -> dict[str, list[dict[str, Any]]]:
        """Files by split in row order, sorted once per process."""
        entries: dict[str, list[dict[str, Any]]] = {}
        for entry in sorted(self.manifest["files"], key=lambda entry: int(entry["row"])):
            entries.setdefault(entry["split"], []).append(entry)
        return entries


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=64)
def _digest(path: Path, _modified_ns: int, _size: int) -> str:
    """Return the sha256 of a file; the last two arguments let the cache notice a change."""
    return file_digest(path)


def _image_shape(manifest: dict[str, Any]) -> tuple[int, int, int]:
    settings = manifest["settings"]
    height, width = settings["INPUT_SHAPE"]
    return height, width, settings.get("INPUT_DIM", RGB)


@lru_cache(maxsize=4)
def _open(path: Path, _modified_ns: int, _size: int) -> PreparedData:
    """Read and check the manifest; the last two arguments let the cache notice a new one."""
    data = path.read_bytes()
    try:
        manifest = json.loads(data)
        version = manifest["format_version"]
    except (ValueError, TypeError, KeyError):
        raise PreprocessingError(f"{path}: damaged; prepare the images again: {COMMAND}") from None
    if version != FORMAT_VERSION:
        raise PreprocessingError(
            f"{path}: format version {version}, expected {FORMAT_VERSION}; prepare again: {COMMAND}"
        )
    if "licence" in manifest:  # the spelling of version 0.1.0
        manifest["license"] = manifest.pop("licence")
    image_shape = _image_shape(manifest)
    for split in SPLITS:
        count = sum(manifest["counts"][split].values())
        for kind, shape, dtype in (("x", (count, *image_shape), np.uint8), ("y", (count,), np.int32)):
            array = _map(path.parent / array_name(kind, split))
            if array.shape != shape or array.dtype != dtype:
                raise PreprocessingError(
                    f"{path.parent / array_name(kind, split)}: {array.dtype} {array.shape}, expected "
                    f"{np.dtype(dtype)} {shape}; prepare the images again: {COMMAND}"
                )
    return PreparedData(path.parent, manifest, hashlib.sha256(data).hexdigest())


def _map(path: Path) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        return array
    except FileNotFoundError:
        raise PreprocessingError(f"{path}: not found; prepare the images again: {COMMAND}") from None
    except (ValueError, EOFError) as error:
        raise PreprocessingError(f"{path}: {error}; prepare the images again: {COMMAND}") from None
