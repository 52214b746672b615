"""Prepared images with other splits: the arrays are arranged again, no image is read."""

import csv
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.errors import PreprocessingError
from preprocessing.feed.prepared_data import MANIFEST, SPLITS, PreparedData, array_name, file_digest
from preprocessing.prepare.audit import AUDIT, COUNT_NAMES, LEAKS
from preprocessing.prepare.dataset_writer import CHUNK, make_array
from preprocessing.prepare.divisions import Members, as_prepared, groups_of, labels_of, places_of

REPEATED = "repeated"
"""Value of `split_by` if splits were made for one of several trainings."""


def resplit(data: PreparedData, members: Members, folder: Path) -> PreparedData:
    """Write prepared images with other splits to a folder, unless it has them; return them.

    Args:
        data: the images with their splits.
        members: the other splits. An image may be in none, or in several.
        folder: receives them.

    Raises:
        PreprocessingError: the folder has other images or splits.
        OSError: the folder cannot be written.
    """
    manifest = _manifest(data, members)
    if (folder / MANIFEST).exists():
        made = PreparedData.open(folder)
        if made.manifest["files"] != manifest["files"]:
            raise PreprocessingError(f"{folder}: has other images or splits; remove it")
        return made
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as name:
        scratch = Path(name) / folder.name
        scratch.mkdir()
        for split, rows in members.items():
            _copy_images(data, rows, scratch / array_name("x", split))
            np.save(scratch / array_name("y", split), labels_of(data)[rows].astype(np.int32))
        manifest["arrays"] = {file.name: file_digest(file) for file in sorted(scratch.glob("*.npy"))}
        if (data.folder / AUDIT).exists():
            _copy_audit(data.folder / AUDIT, scratch / AUDIT, manifest["audit"])
        text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
        (scratch / MANIFEST).write_text(text, encoding="utf-8", newline="\n")
        shutil.rmtree(folder, ignore_errors=True)  # without a manifest: left by a killed process
        scratch.rename(folder)
    return PreparedData.open(folder)


def _copy_images(data: PreparedData, rows: np.ndarray, target: Path) -> None:
    places = places_of(data)
    make_array(target, (len(rows), *data.image_shape), np.uint8)
    for start in range(0, len(rows), CHUNK):
        copy = np.lib.format.open_memmap(target, mode="r+")
        for index, number in enumerate(rows[start : start + CHUNK], start):
            split, row = places[number]
            copy[index] = data.images(split)[row]


def _copy_audit(source: Path, target: Path, counts: dict[str, int]) -> None:
    """Copy audit.csv without the kinds of findings of which there are none with the other splits."""
    with source.open(encoding="utf-8", newline="") as file:
        header, *findings = csv.reader(file)
    kept = [finding for finding in findings if finding[0] not in LEAKS or counts[COUNT_NAMES[finding[0]]]]
    with target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *kept])


def _manifest(data: PreparedData, members: Members) -> dict[str, Any]:
    """Return the manifest of the images with other splits, without the digests of the arrays."""
    by_place = {(entry["split"], entry["row"]): entry for entry in data.manifest["files"]}
    entries = [by_place[place] for place in places_of(data)]
    labels, classes = labels_of(data), range(len(data.class_names))
    files = [
        {**entries[number], "split": split, "row": row}
        for split, rows in members.items()
        for row, number in enumerate(rows.tolist())
    ]
    patients = {
        split: len({file.get("patient") for file in files if file["split"] == split}) for split in SPLITS
    }
    return {
        **data.manifest,
        **_how_split(data, members),
        "counts": {
            split: {str(label): int((labels[rows] == label).sum()) for label in classes}
            for split, rows in members.items()
        },
        "patients": patients if data.has_patients else None,
        "files": files,
    }


def _how_split(data: PreparedData, members: Members) -> dict[str, Any]:
    """Return the entries of the manifest on how the images were split, and what the splits separate."""
    prepared = as_prepared(data)
    if all(np.array_equal(np.sort(rows), prepared[split]) for split, rows in members.items()):
        return {}
    split_of_group: dict[Any, str] = {}
    groups = groups_of(data).tolist()
    together = all(
        split_of_group.setdefault(groups[row], split) == split
        for split, rows in members.items()
        for row in rows.tolist()
    )
    if not together:
        return {"split_by": REPEATED, "grouped_by": None}
    return {
        "split_by": REPEATED,
        "grouped_by": "patient and copy" if data.has_patients else "copy",
        "audit": {**data.manifest["audit"], **{COUNT_NAMES[kind]: 0 for kind in LEAKS}},
    }
