"""Metrics of groups of images: one group for each value of a column, such as the device or the site."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.evaluation.metrics import Labels, Scores, num_classes_of
from helpers.evaluation.tested import values_of_test

MOST_VALUES = 20
DIVISIONS = ("fold", "split")
FEW = 10
"""With fewer patients of a class, or images if patients are unknown, a group is too small to say anything."""
TOO_SMALL = "too small to say"
MERGED = "other"
"""The value of images whose own value is rare, with `merge_rare`."""
ALL = "all"
"""The value in the row of all images, which has no column."""
PATH = re.compile(r"[/\\].*\.|\.(png|jpe?g|bmp|tiff?|pgm|dcm|dicom|ima)$", re.IGNORECASE)

Columns = Mapping[str, Sequence[str]]
"""Values by column, one for each image; empty where unknown."""


def skipped_columns(columns: Columns, labels: Sequence[int]) -> dict[str, str]:
    """Return the columns that make no groups, with the reason.

    Args:
        columns: of all images.
        labels: the class of each image.
    """
    return {name: reason for name, values in columns.items() if (reason := _reason(name, values, labels))}


def _reason(name: str, values: Sequence[str], labels: Sequence[int]) -> str:
    if name.casefold() in DIVISIONS:
        return "skipped: a division of the images for training and test"
    counts = Counter(value for value in values if value)
    if not 2 <= len(counts) <= MOST_VALUES:
        many = f"{len(counts):,} values" if len(counts) != 1 else "1 value"
        return f"skipped: {many}, groups need 2 to {MOST_VALUES}"
    if all(PATH.search(value) for value in counts):
        return "skipped: its values are paths"
    if len(counts) > sum(counts.values()) / 2:
        return "skipped: almost every image has a value of its own, as with an id"
    pairs = {pair for pair in zip(values, labels, strict=True) if pair[0]}
    if len(pairs) == len(counts):
        return "skipped: its value fixes the class, so that no group has both classes"
    return ""


def merge_rare(values: Sequence[str], least: int) -> list[str]:
    """Return the values with MERGED in place of those of fewer than `least` images."""
    counts = Counter(values)
    return [MERGED if value and counts[value] < least else value for value in values]


def group_rows(
    columns: Columns,
    labels: Labels,
    scores: Scores,
    patients: NDArray[np.str_],
    threshold: float,
    *,
    has_patients: bool,
) -> list[dict[str, Any]]:
    """Return a row of groups.csv for all images, and one for each value of each column.

    Args:
        columns: those that make groups.
        labels, scores, threshold: as in `evaluate`.
        patients: (N,), the patient of each image, or else what stays together.
        has_patients: whether patients are known.
    """
    groups = [("", ALL, np.full(len(labels), True))]
    for name, values in columns.items():
        array = np.asarray(values, dtype=str)
        groups += [(name, value, array == value) for value in sorted(set(values) - {""}, key=_order)]
    rows = []
    for column, value, members in groups:
        of_group = (labels[members], scores[members], patients[members])
        facts = {"column": column, "value": value, "num_examples": int(members.sum())}
        facts["num_patients"] = len(set(of_group[2])) if has_patients else None
        rows.append({**facts, **_size(*of_group), **values_of_test(*of_group, threshold)})
    return rows


def _order(value: str) -> tuple[bool, float, str]:
    """Sort numbers by size, before names."""
    try:
        return False, float(value), value
    except ValueError:
        return True, 0.0, value


def _size(labels: Labels, scores: Scores, patients: NDArray[np.str_]) -> dict[str, Any]:
    """Return how many patients the rarest class has, and a note if these are few."""
    rarest = min(len(set(patients[labels == label])) for label in range(num_classes_of(scores)))
    return {
        "num_of_rarest": rarest,
        "note": f"{TOO_SMALL}: {rarest} of the rarest class" if rarest < FEW else "",
    }
