"""Divisions of prepared images for repeated trainings."""

import numpy as np
import pytest

from preprocessing.errors import PreprocessingError
from preprocessing.prepare.divisions import (
    as_prepared,
    by_column,
    by_fold,
    by_seed,
    groups_of,
    labels_of,
    numbered,
    places_of,
    without_test,
)
from tests.unit.preprocessing.prepare.patients import prepared


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("data"))


def check(data, members) -> None:
    """Check that no patient is in two splits and that each split has both classes."""
    groups, labels = groups_of(data), labels_of(data)
    patients = [set(groups[rows].tolist()) for rows in members.values()]
    assert sum(map(len, patients)) == len(set.union(*patients))
    assert all(set(labels[rows].tolist()) == {0, 1} for rows in members.values())


def test_the_division_that_the_images_have(data):
    assert {split: len(rows) for split, rows in as_prepared(data).items()} == {
        "train": 36, "val": 12, "test": 12,
    }  # fmt: skip


def test_seeds_divide_all_images_again(data):
    first, again, other = (by_seed(data, seed, 0.3, 0.2) for seed in (1, 1, 2))
    check(data, first)
    assert sorted(np.concatenate(list(first.values())).tolist()) == list(range(60))
    assert np.array_equal(first["test"], again["test"])
    assert not np.array_equal(first["test"], other["test"])
    assert 16 <= len(first["test"]) <= 20


def test_every_image_is_in_the_test_of_one_fold(data):
    divisions = by_fold(data, 5, 1, 0.2)
    assert list(divisions) == [f"fold {number}" for number in range(1, 6)]
    for members in divisions.values():
        check(data, members)
    tests = np.concatenate([members["test"] for members in divisions.values()])
    assert sorted(tests.tolist()) == list(range(60))


def test_folds_and_devices_of_a_column(data):
    divisions = by_column(data, "fold", 1, 0.2, may_divide=False)
    assert list(divisions) == ["1", "2", "3"]
    values = np.array([data.column(split, "fold")[row] for split, row in places_of(data)])
    for name, members in divisions.items():
        check(data, members)
        assert set(values[members["test"]]) == {name}
        assert len(members["test"]) == 20


def test_a_patient_with_two_values_is_refused_or_does_not_train(data):
    with pytest.raises(PreprocessingError, match=r"column side: .* have the values L, R: 0\.png, 1\.png"):
        by_column(data, "side", 1, 0.2, may_divide=False)
    with pytest.raises(PreprocessingError, match="side L: its train images would have none"):
        by_column(data, "side", 1, 0.2, may_divide=True)  # every patient has a left image


def test_images_without_a_value_are_refused_or_only_train(tmp_path):
    data = prepared(tmp_path)
    empty = [entry for entry in data.manifest["files"] if entry["columns"]["device"] == "A"][:2]
    for entry in empty:
        entry["columns"]["device"] = ""
    divisions = by_column(data, "device", 1, 0.2, may_divide=True)
    assert "" not in divisions
    files = numbered(data, data.files)
    for members in divisions.values():
        assert not {entry["file"] for entry in empty} & set(files[members["test"]])
    with pytest.raises(PreprocessingError, match=f"column device: without a value: {empty[0]['file']}"):
        by_column(data, "device", 1, 0.2, may_divide=False)


def test_columns_that_do_not_divide_are_refused(data):
    for may_divide, option in ((True, "--leave-out"), (False, "--fold-column")):
        with pytest.raises(
            PreprocessingError, match=f"has the columns device, fold, only, side; set {option}"
        ):
            by_column(data, "vendor", 1, 0.2, may_divide=may_divide)
    with pytest.raises(PreprocessingError, match=r"column only: has 1 values \(one\); expected 2 to 20"):
        by_column(data, "only", 1, 0.2, may_divide=True)


def test_folds_for_tuning_hold_no_image_of_the_test(data):
    divisions = without_test(data, 4, 1)
    held_out = np.concatenate([members["val"] for members in divisions])
    test = as_prepared(data)["test"]
    assert sorted([*held_out.tolist(), *test.tolist()]) == list(range(60))
    for members in divisions:
        assert np.array_equal(members["test"], members["val"])
        check(data, {"train": members["train"], "val": members["val"]})
    with pytest.raises(PreprocessingError, match="would have none of"):
        without_test(data, 24, 1)
