"""Arrays, audit.csv and manifest.json on disk, written through memory maps and put in place as a whole.

Every array is reserved on disk before it is filled, in chunks, each through a map of its own: memory
does not grow with the data set, and a full disk is an error instead of the end of the process.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.feed.prepared_data import FORMAT_VERSION, MANIFEST, array_name
from preprocessing.prepare.audit import AUDIT, REFUSED_AUDIT, Finding, count_findings, write_audit
from preprocessing.prepare.sources.records import ImageRecord

CHUNK = 16  # images; bounds memory and the wait after Ctrl-C, yet outweighs the cost of handing over


@dataclass(frozen=True)
class Example:
    """An image to be written: where it came from, its row among all pixels, sha256 of its file, its group."""

    record: ImageRecord
    row: int
    sha256: str
    group: int


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
    splits: dict[str, np.ndarray],
    examples: Sequence[Example],
    findings: Sequence[Finding],
    about: dict[str, Any],
) -> None:
    """Write the arrays of all splits, the audit and the manifest to `scratch`, then move them to `folder`.

    The old manifest goes first and the new one comes last, so that at no moment a manifest lies
    beside arrays it does not describe.

    Args:
        scratch: on the same disk as `folder`.
        pixels: .npy file, uint8 (N, H, W, C), RGB or gray: the rows of `examples`, maybe others.
        splits: for each split, the places of its images in `examples`.
        findings: the rows of audit.csv.
        about: more for the manifest. Nothing of time or machine is in it, nor may be in
            `about`: the same input gives the same bytes.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    chosen = {split: [examples[place] for place in own] for split, own in splits.items()}
    for split, own in chosen.items():
        _copy_rows(pixels, np.array([example.row for example in own]), scratch / array_name("x", split))
        np.save(scratch / array_name("y", split), np.array([item.record.label for item in own], np.int32))
    write_audit(scratch / AUDIT, findings)
    manifest = _describe(chosen, findings, about)
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (scratch / MANIFEST).write_text(text, encoding="utf-8", newline="\n")

    (folder / MANIFEST).unlink(missing_ok=True)
    (folder / REFUSED_AUDIT).unlink(missing_ok=True)
    for name in (*(array_name(kind, split) for split in splits for kind in "xy"), AUDIT, MANIFEST):
        (scratch / name).replace(folder / name)


def _describe(
    chosen: dict[str, list[Example]], findings: Sequence[Finding], about: dict[str, Any]
) -> dict[str, Any]:
    """The content of manifest.json."""
    records = [example.record for own in chosen.values() for example in own]
    has_patients = all(record.patient is not None for record in records)
    patients = {split: len({example.record.patient for example in own}) for split, own in chosen.items()}
    found = count_findings(findings)
    together = [
        *(["patient"] if has_patients and not found["split_patients"] else []),
        *(["copy"] if not found["split_copies"] else []),
    ]
    return {
        "format_version": FORMAT_VERSION,
        **about,
        "split_by": "given" if any(record.split for record in records) else "drawn",
        "grouped_by": " and ".join(together) or None,
        "audit": found,
        "counts": {
            split: {
                str(label): count
                for label, count in sorted(Counter(example.record.label for example in own).items())
            }
            for split, own in chosen.items()
        },
        "patients": patients if has_patients else None,
        "files": [
            {
                **{name: value for name, value in vars(example.record).items() if name != "columns" or value},
                "split": split,
                "row": row,
                "group": example.group,
                "sha256": example.sha256,
            }
            for split, own in chosen.items()
            for row, example in enumerate(own)
        ],
    }


def _copy_rows(source: Path, rows: np.ndarray, target: Path) -> None:
    image_shape = np.load(source, mmap_mode="r").shape[1:]
    make_array(target, (len(rows), *image_shape), np.uint8)
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        copy = np.lib.format.open_memmap(target, mode="r+")
        copy[start : start + len(part)] = np.load(source, mmap_mode="r")[part]
