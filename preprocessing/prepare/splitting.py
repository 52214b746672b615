"""Splits of the images into training, validation and test."""

from collections.abc import Sequence

import numpy as np

from helpers.settings.types import USUAL_CLASS_NAMES
from preprocessing.errors import PreprocessingError, counted
from preprocessing.feed.prepared_data import SPLITS


def split_rows(
    labels: np.ndarray,
    groups: Sequence[str] | np.ndarray | None,
    test_fraction: float,
    validation_fraction: float,
    seed: int,
    class_names: Sequence[str] = USUAL_CLASS_NAMES,
) -> dict[str, np.ndarray]:
    """Split images into train, val and test with similar proportions of the classes.

    Args:
        labels: int (N,), 0 to len(class_names) - 1.
        groups: group of each image (a patient, or images and their copies); no group is in two splits.
            None: images are independent.
        test_fraction: fraction of all images, in (0, 1).
        validation_fraction: fraction of the images left after the test split, in (0, 1).
        seed: the same seed gives the same splits.
        class_names: meaning of each label.

    Returns:
        Row numbers by split name, int64, ascending; every row is in exactly one split.

    Raises:
        PreprocessingError: too few images or groups to have every class in every split.
    """
    if groups is None:
        groups = np.arange(len(labels))
    elif (number := len(np.unique(np.asarray(groups)))) < len(SPLITS):
        raise PreprocessingError(
            f"{counted(number, 'patient')} cannot be divided among {len(SPLITS)} splits "
            "(copies count as images of one patient); add images of more patients, "
            "or correct the column patient of manifest.csv"
        )
    rest = 1 - test_fraction
    parts = [rest * (1 - validation_fraction), rest * validation_fraction, test_fraction]
    split_of = divide_groups(labels, groups, parts, seed, len(class_names))
    splits = {name: np.flatnonzero(split_of == place) for place, name in enumerate(SPLITS)}
    for name, label in _lacking(labels, splits, class_names):
        raise _too_few(labels, class_names, f"{name} would have none of {_named(label, class_names)}")
    return splits


def use_given_splits(
    labels: np.ndarray, given: Sequence[str], class_names: Sequence[str] = USUAL_CLASS_NAMES
) -> dict[str, np.ndarray]:
    """Return the splits that the user gave.

    Args:
        labels: int (N,), 0 to len(class_names) - 1.
        given: for each image, one of SPLITS.
        class_names: meaning of each label.

    Returns:
        As `split_rows`.

    Raises:
        PreprocessingError: a split lacks a class.
    """
    splits = {name: np.flatnonzero(np.asarray(given) == name) for name in SPLITS}
    if empty := [name for name, rows in splits.items() if not len(rows)]:
        raise PreprocessingError(
            f"the given splits (column split of manifest.csv) leave {' and '.join(empty)} without images"
        )
    lacking = [
        f"{name} has none of {_named(label, class_names)}"
        for name, label in _lacking(labels, splits, class_names)
    ]
    if lacking:
        raise PreprocessingError(
            f"column split of manifest.csv: {', '.join(lacking)}; every split needs {_every(class_names)}"
        )
    return splits


def _lacking(
    labels: np.ndarray, splits: dict[str, np.ndarray], class_names: Sequence[str]
) -> list[tuple[str, int]]:
    return [
        (name, label)
        for name, rows in splits.items()
        for label in range(len(class_names))
        if label not in labels[rows]
    ]


def _every(class_names: Sequence[str]) -> str:
    return "both" if len(class_names) == 2 else "all"


def _named(label: int, class_names: Sequence[str]) -> str:
    return f"class {label} ({class_names[label]})"


def divide_groups(
    labels: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    parts: Sequence[float],
    seed: int,
    num_classes: int,
) -> np.ndarray:
    """Divide images among parts of given sizes, with similar proportions of the classes.

    Each group, the largest first, goes to the part where it fits best: the one that brings the class counts
    nearest to their targets by Pearson's chi-square. So all parts fill at the same pace, and a large group
    does not overfill a small part.

    Args:
        labels: int (N,), 0 to num_classes - 1.
        groups: group of each image; no group is in two parts.
        parts: size of each part; they sum to 1.
        seed: the same seed gives the same parts.
        num_classes: number of classes.

    Returns:
        Number of the part of each image, int64 (N,).
    """
    names, owner = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.zeros((len(names), num_classes))  # images per group and class
    np.add.at(counts, (owner, labels), 1)
    targets = np.maximum(np.outer(parts, counts.sum(axis=0)), 1e-9)  # avoids division by zero
    filled = np.zeros_like(targets)
    left = (counts > 0).sum(axis=0)  # groups not yet placed, per class

    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    part_of = np.empty(len(names), dtype=np.int64)
    for group in order:
        added = counts[group]
        growth = (added * (added + 2 * (filled - targets)) / targets).sum(axis=1)  # of the chi-square
        # The last groups of a class go to the parts that still have none of it.
        needed = ((filled == 0) & (added > 0) & (left <= (filled == 0).sum(axis=0))).any(axis=1)
        part_of[group] = np.argmin(np.where(needed, growth - 1e9, growth))
        filled[part_of[group]] += added
        left -= added > 0
    parts_of_images: np.ndarray = part_of[owner]
    return parts_of_images


def _too_few(labels: np.ndarray, class_names: Sequence[str], reason: str) -> PreprocessingError:
    counts = ", ".join(
        f"{(labels == label).sum()} of {_named(label, class_names)}" for label in range(len(class_names))
    )
    return PreprocessingError(
        f"too few images to have {_every(class_names)} classes in {', '.join(SPLITS)}: {counts} ({reason}); "
        "add images or patients of the rarest class, or change TEST_FRACTION or VALIDATION_FRACTION"
    )
