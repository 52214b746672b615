"""Arrays and manifest.json on disk, written through memory maps and put in place as a whole.

Every array is reserved on disk before it is filled, in chunks, each through a map of its own: memory
does not grow with the data set, and a full disk is an error instead of the end of the process.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.prepared_data import FORMAT_VERSION, MANIFEST, array_name
from preprocessing.sources.image_folder import ImageRecord

CHUNK = 16  # images; bounds memory and the wait after Ctrl-C, yet outweighs the cost of handing over


def make_array(path: Path, shape: tuple[int, ...], dtype: type) -> None:
    """Make a .npy file with all its blocks reserved on disk, contents undefined.

    Raises:
        OSError: no space left, where the system can tell in advance (Linux).
    """
    np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def write_dataset(
    folder: Path,
    scratch: Path,
    pixels: Path,
    rows: dict[str, np.ndarray],
    records: Sequence[ImageRecord],
    checksums: Sequence[str],
    about: dict[str, Any],
) -> None:
    """Write the arrays of all splits and the manifest to `scratch`, then move them to `folder`.

    The old manifest goes first and the new one comes last, so that at no moment a manifest lies
    beside arrays it does not describe.

    Args:
        scratch: on the same disk as `folder`.
        pixels: .npy file, uint8 (N, H, W, 3), RGB: all images in the order of `records`.
        rows: for each split, its rows of `pixels`.
        checksums: sha256 of each image file, hex, in the order of `records`.
        about: more for the manifest. Nothing of time or machine is in it, nor may be in
            `about`: the same input gives the same bytes.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    for split, own in rows.items():
        _copy_rows(pixels, own, scratch / array_name("x", split))
        np.save(scratch / array_name("y", split), np.array([records[row].label for row in own], np.int32))
    grouped = all(record.patient is not None for record in records)
    manifest = {
        "format_version": FORMAT_VERSION,
        **about,
        "grouped_by": "patient" if grouped else None,
        "counts": {
            split: dict(sorted(Counter(str(records[row].label) for row in own).items()))
            for split, own in rows.items()
        },
        "files": [
            {**vars(records[row]), "split": split, "row": place, "sha256": checksums[row]}
            for split, own in rows.items()
            for place, row in enumerate(own)
        ],
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (scratch / MANIFEST).write_text(text, encoding="utf-8", newline="\n")

    (folder / MANIFEST).unlink(missing_ok=True)
    for split in rows:
        for kind in ("x", "y"):
            (scratch / array_name(kind, split)).replace(folder / array_name(kind, split))
    (scratch / MANIFEST).replace(folder / MANIFEST)


def _copy_rows(source: Path, rows: np.ndarray, target: Path) -> None:
    image_shape = np.load(source, mmap_mode="r").shape[1:]
    make_array(target, (len(rows), *image_shape), np.uint8)
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        copy = np.lib.format.open_memmap(target, mode="r+")
        copy[start : start + len(part)] = np.load(source, mmap_mode="r")[part]
