"""Divisions of prepared images for repeated trainings: by seed, by fold, by a column, or without the test.

No patient, and no copy of an image, is in two splits of a division.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from preprocessing.errors import PreprocessingError, name_some
from preprocessing.feed.prepared_data import SPLITS, PreparedData
from preprocessing.prepare.splitting import divide_groups

Members = Mapping[str, np.ndarray]
"""For each split, the numbers of its images. All images are numbered by label and file, as preparing does."""
LEAST_VALUES, MOST_VALUES = 2, 20


def as_prepared(data: PreparedData) -> Members:
    """Return the division that the images have."""
    split_of = np.array([split for split, _ in places_of(data)])
    return {split: np.flatnonzero(split_of == split) for split in SPLITS}


def by_seed(data: PreparedData, seed: int, test_fraction: float, validation_fraction: float) -> Members:
    """Return a new division of all images among training, validation and test.

    Raises:
        PreprocessingError: a split would lack a class.
    """
    part_of = _divide(data, np.arange(len(labels_of(data))), [1 - test_fraction, test_fraction], seed)
    return _with_validation(data, f"seed {seed}", part_of == 1, seed, validation_fraction)


def by_fold(data: PreparedData, folds: int, seed: int, validation_fraction: float) -> dict[str, Members]:
    """Return one division for each fold, which is its test.

    Raises:
        PreprocessingError: a split would lack a class.
    """
    part_of = _divide(data, np.arange(len(labels_of(data))), [1 / folds] * folds, seed)
    return {
        f"fold {fold + 1}": _with_validation(
            data, f"fold {fold + 1}", part_of == fold, seed, validation_fraction
        )
        for fold in range(folds)
    }


def by_column(
    data: PreparedData, column: str, seed: int, validation_fraction: float, *, may_divide: bool
) -> dict[str, Members]:
    """Return one division for each value of a column of manifest.csv, whose images are its test.

    Args:
        data: the prepared images.
        column: name of the column.
        seed, validation_fraction: of the validation, drawn from the other images.
        may_divide: whether the images of a patient may have several values. Where one of them is in the
            test, the others are left out. Images without a value are in no test. If not, such images are
            refused.

    Raises:
        PreprocessingError: no such column, too few or too many values, images without one, or a split would
            lack a class.
    """
    option = "--leave-out" if may_divide else "--fold-column"
    values = numbered(data, lambda split: data.column(split, column, option))
    names = sorted(set(values.tolist()) - {""})
    if not may_divide and (empty := numbered(data, data.files)[values == ""].tolist()):
        raise PreprocessingError(f"column {column}: without a value: {name_some(empty)}; give each image one")
    if not LEAST_VALUES <= len(names) <= MOST_VALUES:
        raise PreprocessingError(
            f"column {column}: has {len(names)} values ({name_some(names)}); expected {LEAST_VALUES} to "
            f"{MOST_VALUES}"
        )
    if not may_divide:
        _refuse_divided_groups(data, column, values)
    return {
        name: _with_validation(data, f"{column} {name}", values == name, seed, validation_fraction)
        for name in names
    }


def without_test(data: PreparedData, folds: int, seed: int) -> list[Members]:
    """Return one division of the training and validation images for each fold, which is its validation.

    The images of the test are in none of them. Where a training tests, it finds its validation again.

    Raises:
        PreprocessingError: a fold would lack a class.
    """
    prepared = as_prepared(data)
    rows = np.sort(np.concatenate([prepared["train"], prepared["val"]]))
    part_of = _divide(data, rows, [1 / folds] * folds, seed)
    divisions = []
    for fold in range(folds):
        held_out = rows[part_of == fold]
        members = {"train": rows[part_of != fold], "val": held_out, "test": held_out}
        divisions.append(_checked(data, f"fold {fold + 1}", members))
    return divisions


def places_of(data: PreparedData) -> list[tuple[str, int]]:
    """Return split and row of every image, in the order of the numbers of the images."""
    places = [
        (label, file, (split, row))
        for split in SPLITS
        for row, (label, file) in enumerate(zip(data.labels(split).tolist(), data.files(split), strict=True))
    ]
    return [place for _, _, place in sorted(places)]


def labels_of(data: PreparedData) -> np.ndarray:
    """Return the labels of all images."""
    return numbered(data, data.labels)


def groups_of(data: PreparedData) -> np.ndarray:
    """Return the groups of all images: a patient, or an image and its copies."""
    return numbered(data, data.groups)


def numbered(data: PreparedData, of_split: Callable[[str], Sequence[Any] | np.ndarray]) -> np.ndarray:
    """Return the values of all images in the order of their numbers, from those of each split."""
    values = {split: of_split(split) for split in SPLITS}
    return np.array([values[split][row] for split, row in places_of(data)])


def _divide(data: PreparedData, rows: np.ndarray, parts: Sequence[float], seed: int) -> np.ndarray:
    """Return the part of each of these images."""
    return divide_groups(labels_of(data)[rows], groups_of(data)[rows], parts, seed, len(data.class_names))


def _with_validation(
    data: PreparedData, name: str, is_test: np.ndarray, seed: int, validation_fraction: float
) -> Members:
    """Return the division with this test, and a validation drawn from the other patients' images."""
    groups = groups_of(data)
    rest = np.flatnonzero(~np.isin(groups, groups[is_test]))
    part_of = _divide(data, rest, [1 - validation_fraction, validation_fraction], seed)
    members = {"train": rest[part_of == 0], "val": rest[part_of == 1], "test": np.flatnonzero(is_test)}
    return _checked(data, name, members)


def _checked(data: PreparedData, name: str, members: Members) -> Members:
    labels = labels_of(data)
    for split, rows in members.items():
        if lacking := sorted(set(range(len(data.class_names))) - set(labels[rows].tolist())):
            names = ", ".join(data.class_names[label] for label in lacking)
            raise PreprocessingError(f"{name}: its {split} images would have none of {names}")
    return members


def _refuse_divided_groups(data: PreparedData, column: str, values: np.ndarray) -> None:
    groups, files = groups_of(data), numbered(data, data.files)
    for group in np.unique(groups):
        is_member = groups == group
        if len(several := np.unique(values[is_member])) > 1:
            raise PreprocessingError(
                f"column {column}: images of one patient, or copies, have the values {', '.join(several)}: "
                f"{name_some(files[is_member].tolist())}; give all of them the same"
            )
