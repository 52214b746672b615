"""Audit of the images: copies, images in two classes, and patients in two splits.

All findings are written to audit.csv next to the arrays, and so are the crops. Two kinds are refused unless
permitted, and then listed in audit-refused.csv: an image in two classes, and splits given by the user that
separate a patient's images or copies.
"""

import csv
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from helpers.settings.outside_text import cell, printable
from preprocessing.errors import COMMAND, PreprocessingError, counted, name_some
from preprocessing.prepare.duplicates import Copy
from preprocessing.prepare.sources.records import ImageRecord

AUDIT = "audit.csv"
REFUSED_AUDIT = "audit-refused.csv"
COUNT_NAMES = {
    "exact_duplicate": "exact_duplicates",
    "near_duplicate": "near_duplicates",
    "label_conflict": "label_conflicts",
    "copy_in_two_splits": "split_copies",
    "patient_in_two_splits": "split_patients",
}
LEAKS = ("copy_in_two_splits", "patient_in_two_splits")


class Finding(NamedTuple):
    """A row of audit.csv: a key of COUNT_NAMES, two files and the evidence; or `cropped`, with one file."""

    kind: str
    file: str
    other: str
    detail: str


def copies_to_join(records: Sequence[ImageRecord], copies: Sequence[Copy], near: bool = True) -> list[Copy]:
    """Return the copies that must stay in one split.

    Near copies of two known patients are not among them: likeness alone does not make two patients one.

    Args:
        records: all images.
        copies: pairs of indices of `records`.
        near: whether near copies count at all.
    """

    def are_strangers(copy: Copy) -> bool:
        one, other = records[copy.row].patient, records[copy.other].patient
        return None not in (one, other) and one != other

    return [copy for copy in copies if copy.exact or (near and not are_strangers(copy))]


def audit_images(
    records: Sequence[ImageRecord],
    copies: Sequence[Copy],
    joined: Sequence[Copy] | None = None,
    near_counts: bool = True,
) -> list[Finding]:
    """List copies, copies in two classes or two given splits, and patients in two given splits.

    Args:
        records: all images.
        copies: pairs of indices of `records`.
        joined: those that must stay in one split, by default all.
        near_counts: whether near copies in two classes or splits are findings, too.
    """
    findings = []
    kept = {(copy.row, copy.other) for copy in (copies if joined is None else joined)}
    for copy in copies:
        one, other = records[copy.row], records[copy.other]
        kind = "exact_duplicate" if copy.exact else "near_duplicate"
        remark = "" if (copy.row, copy.other) in kept else "; not joined"
        findings.append(Finding(kind, one.file, other.file, copy.detail + remark))
        if not (copy.exact or near_counts):
            continue
        if one.label != other.label:
            detail = f"class {one.label} and {other.label}; {copy.detail}"
            findings.append(Finding("label_conflict", one.file, other.file, detail))
        if one.split != other.split:
            detail = f"in {one.split} and {other.split}; {copy.detail}"
            findings.append(Finding("copy_in_two_splits", one.file, other.file, detail))
    return findings + _find_split_patients(records)


def _find_split_patients(records: Sequence[ImageRecord]) -> list[Finding]:
    first: dict[str, ImageRecord] = {}
    findings: dict[str, Finding] = {}
    for record in records:
        if record.patient is None:
            continue
        other = first.setdefault(record.patient, record)
        if record.split != other.split:
            detail = f"in {record.split} and {other.split}; patient {record.patient}"
            finding = Finding("patient_in_two_splits", record.file, other.file, detail)
            findings.setdefault(record.patient, finding)
    return list(findings.values())


def refuse_findings(findings: Sequence[Finding], allow: Collection[str], command: str = COMMAND) -> None:
    """Raise an error for an image in two classes, or for a patient or copies in two given splits.

    Args:
        findings: result of `audit_images`.
        allow: `leaks` and `label_conflicts` permit these.
        command: the command that the message suggests, with the flags that permit them.

    Raises:
        PreprocessingError: lists the first ten of each.
    """
    conflicts = [item for item in findings if item.kind == "label_conflict"]
    leaks = [item for item in findings if item.kind in LEAKS]
    problems, flags = [], ""
    if leaks and "leaks" not in allow:
        problems.append(
            f"the column split of manifest.csv leaks test or validation images into training, "
            f"{'once' if len(leaks) == 1 else f'{len(leaks)} times'}: "
            f"{_list(leaks)}; correct it"
        )
        flags += " --allow-leaks"
    if conflicts and "label_conflicts" not in allow:
        problems.append(
            f"{counted(len(conflicts), 'image')} {'is' if len(conflicts) == 1 else 'are'} in two classes: "
            f"{_list(conflicts)}; remove the wrong copies"
        )
        flags += " --allow-label-conflicts"
    if problems:
        raise PreprocessingError(f"{'; '.join(problems)}; or keep all as it is: {command}{flags}")


def _list(findings: Sequence[Finding]) -> str:
    return name_some([f"{item.file} and {item.other} ({item.detail})" for item in findings])


def group_images(records: Sequence[ImageRecord], copies: Iterable[Copy]) -> NDArray[np.int64]:
    """Number the groups of images that must stay together: connected by a patient or by copies.

    Args:
        records: all images.
        copies: pairs of indices of `records`.

    Returns:
        int64 (N,), group of each image, from 0 in order of first appearance.
    """
    first: dict[str, int] = {}
    pairs = [(copy.row, copy.other) for copy in copies]
    for row, record in enumerate(records):
        if record.patient is not None:
            pairs.append((row, first.setdefault(record.patient, row)))
    groups = np.arange(len(records))
    for row, other in pairs:
        low, high = sorted((groups[row], groups[other]))
        if low != high:
            groups[groups == high] = low
    numbers: NDArray[np.int64] = np.unique(groups, return_inverse=True)[1]
    return numbers


def count_findings(findings: Iterable[Finding]) -> dict[str, int]:
    """Count the findings of each kind, by the plural names of manifest.json."""
    counts = Counter(item.kind for item in findings)
    return {name: counts[kind] for kind, name in COUNT_NAMES.items()}


def write_audit(path: Path, findings: Iterable[Finding]) -> None:
    """Write audit.csv, UTF-8, with a header even without findings."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Finding._fields)
        writer.writerows([cell(printable(value)) for value in finding] for finding in findings)
