"""Writer of the arrays, audit.csv and manifest.json, which appear in the output folder as a whole.

Every array is reserved on disk and then filled in chunks, each through its own memory map. Memory use does
not grow with the data set, and a full disk raises an error instead of killing the process.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.feed.prepared_data import FORMAT_VERSION, MANIFEST, array_name, file_digest
from preprocessing.prepare.audit import AUDIT, REFUSED_AUDIT, Finding, count_findings, write_audit
from preprocessing.prepare.sources.records import ImageRecord

CHUNK = 16  # images; small enough for memory and Ctrl-C, large enough to outweigh the cost of messages


@dataclass(frozen=True)
class Example:
    """An image to write: its record, its row in the array of all pixels, sha256 of its file, its group."""

    record: ImageRecord
    row: int
    sha256: str
    group: int


def make_array(path: Path, shape: tuple[int, ...], dtype: type) -> None:
    """Make a .npy file with all its blocks reserved on disk and undefined content.

    Raises:
        OSError: no space left, on systems that can reserve space (Linux).
    """
    np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def write_dataset(
    folder: Path,
    scratch: Path,
    pixels: Path,
    splits: dict[str, np.ndarray],
    examples: Sequence[Example],
    findings: Sequence[Finding],
    metadata: dict[str, Any],
) -> None:
    """Write the arrays of all splits, the audit and the manifest to `scratch`, then move them to `folder`.

    The old manifest is removed first and the new one is moved last, so that a manifest never describes
    arrays other than those next to it.

    Args:
        folder: output folder.
        scratch: temporary folder on the same disk.
        pixels: .npy file, uint8 (N, H, W, C), RGB or gray, with at least the rows of `examples`.
        splits: for each split, the indices of its images in `examples`.
        examples: the images.
        findings: the rows of audit.csv.
        metadata: further entries of the manifest, without time or machine: the same input must give the
            same bytes.

    Raises:
        OSError: the disk is full or not writable.
    """
    members = {split: [examples[index] for index in indices] for split, indices in splits.items()}
    for split, images in members.items():
        _copy_rows(pixels, np.array([image.row for image in images]), scratch / array_name("x", split))
        labels = np.array([image.record.label for image in images], np.int32)
        np.save(scratch / array_name("y", split), labels)
    write_audit(scratch / AUDIT, findings)
    arrays = [array_name(kind, split) for split in splits for kind in "xy"]
    digests = {name: file_digest(scratch / name) for name in arrays}
    manifest = _manifest(members, findings, metadata | {"arrays": digests})
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (scratch / MANIFEST).write_text(text, encoding="utf-8", newline="\n")

    (folder / MANIFEST).unlink(missing_ok=True)
    (folder / REFUSED_AUDIT).unlink(missing_ok=True)
    for name in (*arrays, AUDIT, MANIFEST):
        (scratch / name).replace(folder / name)


def _manifest(
    members: dict[str, list[Example]], findings: Sequence[Finding], metadata: dict[str, Any]
) -> dict[str, Any]:
    """Return the content of manifest.json."""
    records = [image.record for images in members.values() for image in images]
    has_patients = all(record.patient is not None for record in records)
    patients = {split: len({image.record.patient for image in images}) for split, images in members.items()}
    num_findings = count_findings(findings)
    grouped_by = [
        *(["patient"] if has_patients and not num_findings["split_patients"] else []),
        *(["copy"] if not num_findings["split_copies"] else []),
    ]
    return {
        "format_version": FORMAT_VERSION,
        **metadata,
        "split_by": "given" if any(record.split for record in records) else "drawn",
        "grouped_by": " and ".join(grouped_by) or None,
        "audit": num_findings,
        "counts": {
            split: {
                str(label): count
                for label, count in sorted(Counter(image.record.label for image in images).items())
            }
            for split, images in members.items()
        },
        "patients": patients if has_patients else None,
        "files": [
            {
                **{name: value for name, value in vars(image.record).items() if name != "columns" or value},
                "split": split,
                "row": row,
                "group": image.group,
                "sha256": image.sha256,
            }
            for split, images in members.items()
            for row, image in enumerate(images)
        ],
    }


def _copy_rows(source: Path, rows: np.ndarray, target: Path) -> None:
    image_shape = np.load(source, mmap_mode="r").shape[1:]
    make_array(target, (len(rows), *image_shape), np.uint8)
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        copy = np.lib.format.open_memmap(target, mode="r+")
        copy[start : start + len(part)] = np.load(source, mmap_mode="r")[part]
