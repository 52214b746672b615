"""Labeled images to evaluate a model on: a folder, a manifest.csv, DICOM files, or a prepared set."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commands.image_files import is_readable_dicom
from helpers.global_config import Config
from helpers.settings.errors import UserError
from preprocessing.errors import PreprocessingError, counted, name_some
from preprocessing.feed.prepared_data import LABEL, MANIFEST, SPLITS, PreparedData
from preprocessing.prepare.image_reader import read_images
from preprocessing.prepare.sources import list_images
from preprocessing.prepare.sources.files_below import files_below
from preprocessing.prepare.sources.image_folder import is_picture
from preprocessing.prepare.sources.manifest_table import MANIFEST as TABLE
from preprocessing.prepare.sources.records import ImageSet, ImageShape
from preprocessing.prepare.sources.source import Progress


@dataclass(frozen=True, eq=False)
class LabeledImages:
    """Images with their classes.

    Attributes:
        pixels: uint8 (N, H, W, C), RGB or gray.
        labels: (N,), 0 to k - 1.
        files: path of each, relative to the folder.
        patients: (N,), the patient of each; if unknown, its sha256, so that copies count once.
        has_patients: whether patients are known.
        columns: the other columns of manifest.csv, by name.
        digests: sha256 of each file; empty where unknown.
        source: the kind of images, such as `folder`.
        is_cropped: whether they were cropped to the breast.
        notes: what was assumed, for the user.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    files: list[str]
    patients: NDArray[np.str_]
    has_patients: bool
    columns: dict[str, list[str]]
    digests: list[str]
    source: str
    is_cropped: bool
    notes: list[str]


@contextmanager
def labeled_images(
    path: Path, shape: ImageShape, class_names: tuple[str, ...], options: argparse.Namespace,
    progress: Progress,
) -> Iterator[LabeledImages]:  # fmt: skip
    """Read the images of a path; they can be used until the context ends.

    Args:
        path: a folder of images, its manifest.csv, or a folder of prepared images.
        shape: height, width and channels that the model expects.
        class_names: of the model, in order of the labels.
        options: `source`, `split`, `positive_class`, `crop_breast`, `skip_unreadable`.
        progress: called with the step, the number of images done and the total.

    Raises:
        UserError: the images cannot be used.
    """
    folder = folder_of(path)
    if (folder / MANIFEST).is_file():
        for name in ("positive_class", "source", "crop_breast", "skip_unreadable"):
            if getattr(options, name):
                option = f"--{name.replace('_', '-')}"
                raise UserError(f"{option}: the images of {folder} are prepared; leave the option out")
        yield _prepared(PreparedData.open(folder), shape, class_names, options.split)
        return
    with TemporaryDirectory(prefix="evaluate-") as scratch:
        yield _read(folder, Path(scratch) / "all.npy", shape, class_names, options, progress)


def folder_of(path: Path) -> Path:
    """Return the folder of images that a path names.

    Raises:
        UserError: it names none.
    """
    folder = path.parent if path.is_file() and path.name.casefold() == TABLE else path
    if not folder.is_dir():
        raise UserError(f"{path}: not found; expected a folder of images, its {TABLE}, or prepared images")
    return folder


def _prepared(
    data: PreparedData, shape: ImageShape, class_names: tuple[str, ...], split: str
) -> LabeledImages:
    if data.image_shape != shape:
        raise UserError(
            f"{data.folder}: prepared as {_size(data.image_shape)}, the model takes {_size(shape)}; prepare "
            "the images again in that size, or name their folder"
        )
    splits = SPLITS if split == "all" else (split,)
    options = data.manifest.get("options") or {}
    return LabeledImages(
        np.concatenate([data.images(name) for name in splits]),
        np.concatenate([data.labels(name) for name in splits]).astype(np.int64),
        [file for name in splits for file in data.files(name)],
        np.array([patient for name in splits for patient in data.patients(name)]),
        data.has_patients,
        {
            column: [cell for name in splits for cell in data.column(name, column)]
            for column in data.group_columns
        },
        [digest for name in splits for digest in data.digests(name)],
        str(data.manifest.get("source")),
        bool(options.get("crop_breast")),
        _class_note(data.class_names, class_names, data.folder),
    )


def _read(
    folder: Path, target: Path, shape: ImageShape, class_names: tuple[str, ...],
    options: argparse.Namespace, progress: Progress,
) -> LabeledImages:  # fmt: skip
    """List the images of a folder as the preparation does, and read them into an array at `target`."""
    progress("Listing images", 0, 1)
    source = options.source or _kind(folder)
    if options.crop_breast and source != "dicom":
        raise UserError(f"--crop-breast: is for DICOM files; those of {folder} are of the source {source}")
    images = _list(folder, source, class_names, options)
    records = images.records
    if options.split != "all":
        records = [record for record in records if record.split == options.split]
        if not records:
            raise UserError(
                f"--split {options.split}: no image of {folder} is in it (column split of {TABLE})"
            )
    files = [record.file for record in records]
    readings = read_images(folder, files, images.read, shape, target, partial(progress, "Reading images"))
    bad = [f"{file} ({each.problem})" for file, each in zip(files, readings, strict=True) if each.problem]
    if bad and not options.skip_unreadable:
        raise UserError(
            f"{folder}: {counted(len(bad), 'image')} cannot be read: {name_some(bad)}; remove them, or leave "
            "them out with --skip-unreadable"
        )
    kept = [row for row, reading in enumerate(readings) if not reading.problem]
    records, digests = [records[row] for row in kept], [readings[row].sha256 for row in kept]
    pixels = np.load(target, mmap_mode="r")
    has_patients = all(record.patient is not None for record in records)
    columns = sorted({name for record in records for name in record.columns} - {LABEL})
    notes = [*images.metadata.get("notes", ()), *_class_note(images.classes, class_names, folder)]
    notes += [f"Left out, unreadable: {name_some(bad)}"] if bad else []
    return LabeledImages(
        pixels[kept] if bad else pixels,
        np.array([record.label for record in records], np.int64),
        [record.file for record in records],
        np.array([str(record.patient) for record in records] if has_patients else digests),
        has_patients,
        {name: [record.columns.get(name, "") for record in records] for name in columns},
        digests,
        source,
        bool((images.metadata.get("options") or {}).get("crop_breast")),
        notes,
    )


def _kind(folder: Path) -> str:
    """Return the source that reads a folder: `dicom` if it has DICOM files and no pictures."""
    files = files_below(folder)
    return "folder" if any(map(is_picture, files)) or not any(map(is_readable_dicom, files)) else "dicom"


def _list(folder: Path, source: str, class_names: tuple[str, ...], options: argparse.Namespace) -> ImageSet:
    """List the images of a folder, with the labels of the model's classes.

    Two classes may have other names than the model's, if it is clear which one is class 1.
    """
    chosen: dict[str, Any] = {"positive_class": options.positive_class or ""}
    if source == "dicom":
        chosen["crop_breast"] = options.crop_breast
    config = Config(DATA_DIR=folder, CLASS_NAMES=class_names)
    if not options.positive_class:
        try:
            return list_images(source, chosen, config, _unseen)
        except PreprocessingError:
            if len(class_names) > 2:
                raise
    return list_images(source, chosen, config.model_copy(update={"CLASS_NAMES": ()}), _unseen)


def _unseen(step: str, done: int, total: int) -> None:
    """Show nothing: the sources read here report no steps while they list their files."""


def _class_note(found: tuple[str, ...], expected: tuple[str, ...], folder: Path) -> list[str]:
    """Return a note where two classes have other names than the model's.

    Raises:
        UserError: more than two classes differ, or the labels are in another order.
    """
    names, own_names = ([name.casefold() for name in each] for each in (found, expected))
    if names != own_names and sorted(names) == sorted(own_names):
        raise UserError(
            f"{folder}: its classes are in the order {', '.join(found)}, those of the model "
            f"{', '.join(expected)}; leave --positive-class out, or prepare the images again with "
            f"--class-names {','.join(expected)}"
        )
    if found == expected:
        return []
    if len(found) != len(expected) or len(found) > 2:
        raise UserError(
            f"{folder}: has the classes {', '.join(found)}, the model {', '.join(expected)}; name the "
            "classes alike, in a manifest.csv with the columns file and label"
        )
    pairs = ", ".join(f"{own} as {name}" for own, name in zip(found, expected, strict=True))
    return [f"The classes have other names than the model's: {pairs}"]


def _size(shape: ImageShape) -> str:
    height, width, channels = shape
    return f"{height}x{width} pixels, {'RGB' if channels > 1 else 'gray'}"
