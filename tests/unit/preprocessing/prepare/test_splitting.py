import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.errors import PreprocessingError
from preprocessing.prepare.splitting import SPLITS, split_rows, use_given_splits


def sizes(splits):
    return {name: len(rows) for name, rows in splits.items()}


def test_hundred_of_each_class_are_split_exactly():
    labels = np.repeat([0, 1], 100)
    splits = split_rows(labels, None, 0.3, 0.1, seed=42)
    assert sizes(splits) == {"train": 126, "val": 14, "test": 60}
    assert {name: int(labels[rows].sum()) for name, rows in splits.items()} == {
        "train": 63,
        "val": 7,
        "test": 30,
    }


@pytest.mark.parametrize("patients", [None, [str(number // 2) for number in range(200)]])
def test_every_row_is_in_one_split_and_the_seed_determines_it(patients):
    labels = np.tile([0, 0, 1, 1], 50)
    first, again, other = (split_rows(labels, patients, 0.3, 0.1, seed) for seed in (2**40, 2**40, 3))
    assert sorted(np.concatenate(list(first.values())).tolist()) == list(range(200))
    assert all((np.diff(rows) > 0).all() for rows in first.values())
    assert all(np.array_equal(first[name], again[name]) for name in SPLITS)
    assert not np.array_equal(first["train"], other["train"])


@given(
    images=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 1)), min_size=1, max_size=200),
    test_fraction=st.floats(0.05, 0.9),
    validation_fraction=st.floats(0.05, 0.9),
    seed=st.integers(0, 1000),
)
def test_no_patient_is_in_two_splits(images, test_fraction, validation_fraction, seed):
    patients = [f"p{patient}" for patient, _ in images]
    labels = np.array([label for _, label in images])
    try:
        splits = split_rows(labels, patients, test_fraction, validation_fraction, seed)
    except PreprocessingError as error:
        if "patients" not in str(error):
            raise
        return
    assert sorted(np.concatenate(list(splits.values())).tolist()) == list(range(len(labels)))
    homes = [{patients[row] for row in splits[name]} for name in SPLITS]
    assert sum(len(home) for home in homes) == len(set(patients))
    assert all(set(labels[rows]) == {0, 1} for rows in splits.values())


def test_classes_stay_balanced_by_patient_even_when_one_patient_has_many_images():
    rng = np.random.default_rng(0)
    patients = ["big"] * 60 + [f"p{number}" for number in rng.integers(0, 300, 940)]
    labels = rng.integers(0, 3, 1000) // 2  # a third are of class 1
    splits = split_rows(labels, patients, 0.3, 0.1, seed=1)
    assert sizes(splits) == pytest.approx({"train": 630, "val": 70, "test": 300}, abs=4)
    for rows in splits.values():
        assert labels[rows].mean() == pytest.approx(labels.mean(), abs=0.02)


def test_three_patients_with_both_classes_get_a_split_each():
    splits = split_rows(np.array([0, 1] * 3), ["a", "a", "b", "b", "c", "c"], 0.3, 0.1, seed=0)
    assert sizes(splits) == {"train": 2, "val": 2, "test": 2}


def test_given_splits_are_used_as_they_are():
    given = ["test", "train", "val", "val", "train", "test"]
    splits = use_given_splits(np.array([0, 0, 0, 1, 1, 1]), given)
    assert {name: rows.tolist() for name, rows in splits.items()} == {
        "train": [1, 4], "val": [2, 3], "test": [0, 5],
    }  # fmt: skip
    with pytest.raises(
        PreprocessingError, match=r"column split .*val has none of class 1 \(cancerous\), test has none of"
    ):
        use_given_splits(np.array([0, 1, 0, 0]), ["train", "train", "val", "test"])


def test_a_given_split_without_images_is_reported_once():
    with pytest.raises(PreprocessingError, match="leave val and test without images"):
        use_given_splits(np.array([0, 1, 0, 1]), ["train"] * 4)


def test_given_splits_need_every_class():
    labels, given = np.array([0, 1, 2] * 3), ["train", "val", "test"]
    with pytest.raises(
        PreprocessingError, match=r"train has none of class 1 \(b\), .*; every split needs all"
    ):
        use_given_splits(labels, given * 3, "abc")
    splits = use_given_splits(labels, np.repeat(given, 3).tolist(), "abc")
    assert [rows.tolist() for rows in splits.values()] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_hundred_of_each_of_three_classes_are_split_exactly():
    labels = np.repeat([0, 1, 2], 100)
    splits = split_rows(labels, None, 0.3, 0.1, seed=42, class_names="abc")
    counts = {name: np.bincount(labels[rows]).tolist() for name, rows in splits.items()}
    assert counts == {"train": [63, 63, 63], "val": [7, 7, 7], "test": [30, 30, 30]}


def test_three_classes_stay_balanced_by_patient():
    rng = np.random.default_rng(0)
    patients = [f"p{number}" for number in rng.integers(0, 300, 1000)]
    labels = rng.choice(3, 1000, p=[0.6, 0.3, 0.1])
    splits = split_rows(labels, patients, 0.3, 0.1, seed=1, class_names="abc")
    homes = [{patients[row] for row in rows} for rows in splits.values()]
    assert sum(map(len, homes)) == len(set(patients))
    shares = np.bincount(labels) / len(labels)
    for rows in splits.values():
        assert np.bincount(labels[rows]) / len(rows) == pytest.approx(shares, abs=0.02)


@pytest.mark.parametrize("patients", [None, [str(number) for number in range(202)]])
def test_one_class_of_three_too_small_is_refused(patients):
    labels = np.repeat([0, 1, 2], [100, 2, 100])
    with pytest.raises(
        PreprocessingError,
        match=r"too few images to have all classes in .*: 100 of class 0 \(a\), 2 of class 1 \(b\), 100 of",
    ):
        split_rows(labels, patients, 0.3, 0.1, seed=0, class_names="abc")


def test_a_split_without_a_class_is_named_with_the_counts():
    with pytest.raises(PreprocessingError, match=r"2 of class 1 \(b\).* would have none of class 1 \(b\)"):
        split_rows(np.repeat([0, 1, 2], [100, 2, 100]), None, 0.3, 0.1, seed=0, class_names="abc")


def test_three_images_of_a_class_are_enough():
    labels = np.repeat([0, 1], [100, 3])
    splits = split_rows(labels, None, 0.3, 0.1, seed=0)
    assert [labels[rows].sum() for rows in splits.values()] == [1, 1, 1]


def test_fewer_patients_than_splits_is_refused():
    with pytest.raises(PreprocessingError, match="2 patients cannot be divided among 3 splits"):
        split_rows(np.array([0, 1, 0, 1]), ["a", "a", "b", "b"], 0.3, 0.1, seed=0)


@pytest.mark.parametrize(
    ("labels", "patients"),
    [
        ([0] * 100 + [1] * 2, None),
        ([0] * 2 + [1] * 2, None),
        ([0] * 100, None),
        ([], None),
        ([0] * 100 + [1] * 2, [str(number) for number in range(102)]),
    ],
)
def test_a_class_too_small_for_every_split_is_refused(labels, patients):
    with pytest.raises(PreprocessingError, match="too few images to have both classes in train, val, test"):
        split_rows(np.array(labels, dtype=np.int64), patients, 0.3, 0.1, seed=0)
