"""Confidence intervals: what they contain, and the effect of patients on their width."""

import numpy as np
import pytest

from helpers.evaluation.intervals import metric_intervals, paired_difference
from helpers.evaluation.metrics import CLASS_METRIC_NAMES, METRIC_NAMES, SENSITIVITY, evaluate

WITHOUT = {"brier_score", "calibration_error"}


def simulated(seed: int, num_images: int) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and scores of a test set: normal, one standard deviation apart, as probabilities."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, num_images)
    return labels, 1 / (1 + np.exp(-generator.normal(labels)))


def width(interval: tuple[float, float] | None) -> float:
    assert interval is not None
    return interval[1] - interval[0]


def test_every_metric_with_a_method_has_an_interval_around_it() -> None:
    labels, scores = simulated(0, 300)
    intervals = metric_intervals(labels, scores, None, 0.6)
    metrics = evaluate(labels, scores, 0.6).metrics
    assert intervals.by_class == []
    assert list(intervals.overall) == [*METRIC_NAMES[1:], SENSITIVITY]
    for name, interval in intervals.overall.items():
        assert (interval is None) == (name in WITHOUT)
        assert interval is None or interval[0] < metrics[name] < interval[1]


def test_a_perfect_test_of_nine_images_proves_little() -> None:
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1])
    intervals = metric_intervals(labels, labels * 0.9, None, 0.5).overall
    for name in set(intervals) - WITHOUT:
        low, high = intervals[name]
        assert low < 0.75, name
        assert high == pytest.approx(1), name


def test_images_of_one_patient_count_as_one_where_patients_are_few() -> None:
    labels, scores = simulated(0, 18)
    once = metric_intervals(labels, scores, None, 0.5).overall
    together = metric_intervals(labels.repeat(4), scores.repeat(4), np.arange(18).repeat(4), 0.5).overall
    for name in ("accuracy", "recall", "specificity", "roc_auc"):
        assert together[name] == pytest.approx(once[name])


def test_copies_without_their_patient_promise_too_much() -> None:
    labels, scores = simulated(0, 80)
    copies = labels.repeat(4), scores.repeat(4)
    together = metric_intervals(*copies, np.arange(80).repeat(4).astype(str), 0.5).overall
    alone = metric_intervals(*copies, None, 0.5).overall
    for name in set(alone) - WITHOUT:
        assert width(together[name]) > 1.3 * width(alone[name]), name


def test_each_of_three_classes_has_intervals_around_its_own_metrics() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 200)
    scores = generator.dirichlet([1, 1, 1], 200) / 2 + np.eye(3)[labels] / 2 * generator.random((200, 1))
    scores /= scores.sum(axis=1, keepdims=True)
    evaluation = evaluate(labels, scores)
    intervals = metric_intervals(labels, scores, None, 0.5)
    assert len(intervals.by_class) == 3
    for metrics, own in zip(
        [evaluation.metrics, *evaluation.by_class], [intervals.overall, *intervals.by_class], strict=True
    ):
        assert set(own) >= set(CLASS_METRIC_NAMES)
        for name in CLASS_METRIC_NAMES:
            low, high = own[name]
            assert low <= metrics[name] <= high
    labels[labels == 2] = 1
    intervals = metric_intervals(labels, scores, None, 0.5)
    assert intervals.overall["roc_auc"] is intervals.by_class[2]["roc_auc"] is None
    assert intervals.by_class[0]["roc_auc"] is not None


def test_undefined_has_no_interval() -> None:
    labels, scores = np.zeros(20, int), np.linspace(0.1, 0.4, 20)
    intervals = metric_intervals(labels, scores, None, 0.5).overall
    assert {name for name, interval in intervals.items() if interval is None} == WITHOUT | {
        "precision", "recall", "f1_score", "roc_auc", "average_precision", "balanced_accuracy",
        "sensitivity_at_90_specificity",
    }  # fmt: skip


def test_the_difference_of_a_model_from_itself_is_nothing() -> None:
    labels, scores = simulated(0, 100)
    assert paired_difference(labels, scores, scores, None) == {"difference": 0, "low": 0, "high": 0}


def test_two_perfect_models_may_differ() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    difference = paired_difference(labels, labels * 0.9, labels * 0.8 + np.arange(8) / 100, None)
    assert difference["difference"] == 0
    assert difference["low"] < -0.1 < 0.1 < difference["high"]


def test_pairing_sees_a_difference_that_two_intervals_would_hide() -> None:
    labels, good = simulated(1, 400)
    worse = 1 / (1 + np.exp(-(np.log(good / (1 - good)) - 0.2 * labels)))  # a bit less sure of cancers
    intervals = [metric_intervals(labels, scores, None, 0.5).overall["roc_auc"] for scores in (good, worse)]
    assert intervals[0][0] < intervals[1][1]
    forth = paired_difference(labels, good, worse, None)
    back = paired_difference(labels, worse, good, None)
    assert 0 < forth["low"] < forth["difference"] < forth["high"]
    assert (forth["low"], forth["high"]) == pytest.approx((-back["high"], -back["low"]))


def test_the_difference_of_one_class_is_undefined() -> None:
    scores = np.linspace(0, 1, 9)
    difference = paired_difference(np.ones(9, int), scores, scores, None)
    assert difference == {"difference": None, "low": None, "high": None}


def test_refuses_groups_that_do_not_fit() -> None:
    labels, scores = simulated(0, 10)
    with pytest.raises(ValueError, match="9 groups and 10 labels"):
        metric_intervals(labels, scores, np.arange(9).astype(str), 0.5)
