"""Groups of images: which columns make them, and what each row says."""

import numpy as np
import pytest

from helpers.evaluation.groups import ALL, FEW, MERGED, TOO_SMALL, group_rows, merge_rare, skipped_columns
from helpers.evaluation.metrics import evaluate

LABELS = [0, 1] * 20


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["GE", "GE", "Toshiba", "Toshiba"] * 10, ""),
        ([str(3 + number % 3) for number in range(40)], ""),
        (["", *["yes", "no"] * 19, "no"], ""),
        (["a/b", "c"] * 20, "fixes the class"),
        (["benign", "malignant"] * 20, "fixes the class"),
        (["only"] * 40, "1 value,"),
        ([""] * 40, "0 values"),
        ([f"P{number}" for number in range(40)], "40 values"),
        ([f"{number % 3}/image.png" for number in range(40)], "paths"),
        ([f"P{number}" if number < 5 else "" for number in range(40)], "an id"),
    ],
)
def test_which_columns_make_groups(values, reason):
    skipped = skipped_columns({"column": values}, LABELS)
    assert reason in skipped.get("column", "")
    assert bool(skipped) == bool(reason)


def test_a_division_of_the_images_makes_no_groups():
    assert list(skipped_columns({"Fold": ["1", "2", "2", "1"] * 10}, LABELS)) == ["Fold"]


def test_rare_values_are_merged_and_unknown_ones_are_not():
    values = ["GE"] * 5 + ["Philips"] * 2 + ["Toshiba"] + [""]
    assert merge_rare(values, 3) == ["GE"] * 5 + [MERGED] * 3 + [""]
    assert merge_rare(values, 0) == values


def rows(columns, labels, scores, patients, **options):
    arrays = (np.array(labels), np.array(scores), np.array(patients))
    return group_rows(columns, *arrays, 0.5, **{"has_patients": True, **options})


def test_each_value_has_the_metrics_of_its_images_and_numbers_are_sorted_by_size():
    generator = np.random.default_rng(0)
    labels, scores = generator.integers(0, 2, 300), generator.random(300)
    values = [("2", "10", "")[number % 3] for number in range(300)]
    patients = [f"P{number // 2}" for number in range(300)]
    every, *each = rows({"birads": values}, labels, scores, patients)
    assert (every["column"], every["value"], every["num_examples"]) == ("", ALL, 300)
    assert [(row["column"], row["value"]) for row in each] == [("birads", "2"), ("birads", "10")]
    members = np.array(values) == "10"
    own = evaluate(labels[members], scores[members])
    assert each[1]["roc_auc"] == own.metrics["roc_auc"]
    assert each[1]["roc_auc_low"] < each[1]["roc_auc"] < each[1]["roc_auc_high"]
    assert each[1]["num_patients"] == len({patients[index] for index in np.flatnonzero(members)})
    assert each[1]["note"] == ""


def test_a_group_with_few_patients_of_a_class_or_without_one_is_too_small():
    labels = [0] * 30 + [1] * 9 + [0] * 5
    values = ["a"] * 39 + ["b"] * 5
    patients = [f"P{number}" for number in range(44)]
    _, small, one_class = rows({"site": values}, labels, np.linspace(0, 1, 44), patients)
    assert FEW == 10
    assert small["note"] == f"{TOO_SMALL}: 9 of the rarest class"
    assert one_class["roc_auc"] is None
    assert one_class["specificity"] is not None
    # The same images of one patient do not make it larger.
    _, same, _ = rows({"site": values}, labels, np.linspace(0, 1, 44), ["P"] * 44)
    assert same["num_of_rarest"] == 1


def test_patients_that_are_unknown_are_not_counted():
    _, row, _ = rows({"c": ["a", "b"] * 4}, [0, 0, 1, 1] * 2, [0.1] * 8, list("abcdefgh"), has_patients=False)
    assert row["num_patients"] is None


def test_more_than_two_classes():
    generator = np.random.default_rng(0)
    scores = generator.dirichlet([1, 1, 1], 90)
    labels = generator.integers(0, 3, 90)
    _, one, two = rows({"c": ["a", "b"] * 45}, labels, scores, [str(number) for number in range(90)])
    assert one["roc_auc"] is not None
    assert two["num_of_rarest"] >= FEW
