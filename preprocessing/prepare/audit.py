"""What could make a model look better than it is: copies, two classes for one image, split patients.

All of it is written to audit.csv, beside the arrays it belongs to, and what was cut off images too. Two
things are refused unless permitted, and listed in audit-refused.csv: one image in two classes, and splits
given by the user that part a patient, or copies.
"""

import csv
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    """One row of audit.csv: a key of COUNT_NAMES, two files, and what shows it; or `cropped`, of one."""

    kind: str
    file: str
    other: str
    detail: str


def audit_images(records: Sequence[ImageRecord], copies: Sequence[Copy]) -> list[Finding]:
    """List copies, those in two classes or two given splits, and patients in two given splits.

    Args:
        records: all images.
        copies: by place in `records`.
    """
    findings = []
    for copy in copies:
        one, other = records[copy.row], records[copy.other]
        kind = "exact_duplicate" if copy.exact else "near_duplicate"
        findings.append(Finding(kind, one.file, other.file, copy.detail))
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
    """Stop at one image in two classes, and at a patient or copies in two given splits.

    Args:
        findings: of `audit_images`.
        allow: `leaks` and `label_conflicts` to let these pass.
        command: what has the flags.

    Raises:
        PreprocessingError: lists the first ten of each and names the flags that permit them.
    """
    conflicts = [item for item in findings if item.kind == "label_conflict"]
    leaks = [item for item in findings if item.kind in LEAKS]
    problems, flags = [], ""
    if leaks and "leaks" not in allow:
        problems.append(
            f"the column split of manifest.csv lets training see what it is tested on, "
            f"{'once' if len(leaks) == 1 else f'{len(leaks)} times'}: "
            f"{_list(leaks)}; correct it"
        )
        flags += " --allow-leaks"
    if conflicts and "label_conflicts" not in allow:
        problems.append(
            f"{counted(len(conflicts), 'image')} {'is' if len(conflicts) == 1 else 'are'} in two classes: "
            f"{_list(conflicts)}; remove the wrong ones"
        )
        flags += " --allow-label-conflicts"
    if problems:
        raise PreprocessingError(f"{'; '.join(problems)}; or keep all as it is: {command}{flags}")


def _list(findings: Sequence[Finding]) -> str:
    return name_some([f"{item.file} and {item.other} ({item.detail})" for item in findings])


def group_images(records: Sequence[ImageRecord], copies: Iterable[Copy]) -> NDArray[np.int64]:
    """Number the groups of images that must stay together: of one patient, or copies, and so on from those.

    Args:
        records: all images.
        copies: by place in `records`.

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
    """How many of each kind of COUNT_NAMES, by the plural names used in manifest.json."""
    counts = Counter(item.kind for item in findings)
    return {name: counts[kind] for kind, name in COUNT_NAMES.items()}


def write_audit(path: Path, findings: Iterable[Finding]) -> None:
    """Write audit.csv, UTF-8, with a header also where nothing was found."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Finding._fields)
        writer.writerows(findings)
