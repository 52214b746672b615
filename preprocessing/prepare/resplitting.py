"""Prepared images with other splits: the arrays are arranged again, no image is read."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.errors import PreprocessingError
from preprocessing.feed.prepared_data import MANIFEST, SPLITS, PreparedData, array_name, file_digest
from preprocessing.prepare.audit import AUDIT
from preprocessing.prepare.dataset_writer import CHUNK, make_array
from preprocessing.prepare.divisions import Members, labels_of, places_of


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
            shutil.copy(data.folder / AUDIT, scratch / AUDIT)
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
        "split_by": "given",
        "counts": {
            split: {str(label): int((labels[rows] == label).sum()) for label in classes}
            for split, rows in members.items()
        },
        "patients": patients if data.has_patients else None,
        "files": files,
    }
