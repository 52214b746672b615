"""Confidence intervals: their coverage, and the effect of patients on their width."""

import math

import numpy as np
import pytest

from helpers.evaluation.intervals import bootstrap_intervals, paired_difference
from helpers.evaluation.metrics import CLASS_METRIC_NAMES, METRIC_NAMES, evaluate
from helpers.evaluation.weighted_metrics import SENSITIVITY

TRUE_AUC = 0.5 * (1 + math.erf(1 / 2))  # of normal scores one standard deviation apart


def simulated(seed: int, num_images: int) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and scores of a test set: normal, one standard deviation apart, as probabilities."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, num_images)
    return labels, 1 / (1 + np.exp(-generator.normal(labels)))


def width(interval: tuple[float, float] | None) -> float:
    assert interval is not None
    return interval[1] - interval[0]


def test_every_metric_has_an_interval_around_it_and_the_seed_decides_it() -> None:
    labels, scores = simulated(0, 300)
    intervals = bootstrap_intervals(labels, scores, None, 0.6, seed=1, resamples=250)
    assert intervals == bootstrap_intervals(labels, scores, None, 0.6, seed=1, resamples=250)
    assert intervals != bootstrap_intervals(labels, scores, None, 0.6, seed=2, resamples=250)
    metrics = evaluate(labels, scores, 0.6).metrics
    assert intervals.by_class == []
    assert list(intervals.overall) == [*METRIC_NAMES[1:], SENSITIVITY]
    for name, interval in intervals.overall.items():
        assert interval is not None
        assert interval[0] < metrics[name] < interval[1]


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(200):
        labels, scores = simulated(seed, 120)
        intervals = bootstrap_intervals(labels, scores, None, 0.5, seed, resamples=200).overall
        low, high = intervals["roc_auc"] or (0, 0)
        held += low <= TRUE_AUC <= high
    assert 0.88 <= held / 200 <= 0.99


def test_copies_of_an_image_under_one_patient_change_nothing_but_alone_they_promise_too_much() -> None:
    labels, scores = simulated(0, 80)
    names = np.array([f"patient-{number:02d}" for number in range(80)])
    once = bootstrap_intervals(labels, scores, None, 0.5, seed=3, resamples=300).overall
    copies = (labels.repeat(4), scores.repeat(4))
    together = bootstrap_intervals(*copies, names.repeat(4), 0.5, seed=3, resamples=300).overall
    alone = bootstrap_intervals(*copies, None, 0.5, seed=3, resamples=300).overall
    for name, interval in once.items():
        assert together[name] == pytest.approx(interval)
    assert width(together["roc_auc"]) > 1.5 * width(alone["roc_auc"])


def test_each_of_three_classes_has_intervals_around_its_own_metrics() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 200)
    scores = generator.dirichlet([1, 1, 1], 200) / 2 + np.eye(3)[labels] / 2 * generator.random((200, 1))
    scores /= scores.sum(axis=1, keepdims=True)
    evaluation = evaluate(labels, scores)
    intervals = bootstrap_intervals(labels, scores, None, 0.5, seed=1, resamples=200)
    assert len(intervals.by_class) == 3
    for metrics, own in zip(
        [evaluation.metrics, *evaluation.by_class], [intervals.overall, *intervals.by_class], strict=True
    ):
        assert set(own) >= set(CLASS_METRIC_NAMES)
        for name in CLASS_METRIC_NAMES:
            low, high = own[name]
            assert low <= metrics[name] <= high
    labels[labels == 2] = 1
    labels[0] = 2  # every third resample lacks the only image of class 2
    intervals = bootstrap_intervals(labels, scores, None, 0.5, seed=1, resamples=50)
    assert intervals.overall["roc_auc"] is intervals.by_class[2]["roc_auc"] is None
    assert intervals.by_class[0]["roc_auc"] is not None


def test_undefined_has_no_interval() -> None:
    labels, scores = np.zeros(20, int), np.linspace(0.1, 0.4, 20)
    intervals = bootstrap_intervals(labels, scores, None, 0.5, seed=0, resamples=50).overall
    assert {name for name, interval in intervals.items() if interval is None} == {
        "precision", "recall", "f1_score", "roc_auc", "average_precision", "balanced_accuracy",
        "sensitivity_at_90_specificity",
    }  # fmt: skip
    labels[0], scores[0] = 1, 0.9  # every third resample lacks the only cancer
    assert bootstrap_intervals(labels, scores, None, 0.5, seed=0, resamples=50).overall["roc_auc"] is None


def test_the_difference_of_a_model_from_itself_is_nothing() -> None:
    labels, scores = simulated(0, 100)
    nothing = {"difference": 0, "low": 0, "high": 0}
    assert paired_difference(labels, scores, scores, None, seed=0, resamples=100) == nothing


def test_pairing_sees_a_difference_that_two_intervals_would_hide() -> None:
    labels, good = simulated(1, 400)
    worse = 1 / (1 + np.exp(-(np.log(good / (1 - good)) - 0.2 * labels)))  # a bit less sure of cancers
    intervals = [
        bootstrap_intervals(labels, scores, None, 0.5, 0, 300).overall["roc_auc"] for scores in (good, worse)
    ]
    assert intervals[0] is not None
    assert intervals[1] is not None
    assert intervals[0][0] < intervals[1][1]
    forth = paired_difference(labels, good, worse, None, seed=0, resamples=300)
    back = paired_difference(labels, worse, good, None, seed=0, resamples=300)
    assert 0 < forth["low"] < forth["difference"] < forth["high"]
    assert (forth["low"], forth["high"]) == pytest.approx((-back["high"], -back["low"]))


def test_the_difference_of_one_class_is_undefined() -> None:
    scores = np.linspace(0, 1, 9)
    difference = paired_difference(np.ones(9, int), scores, scores, None, seed=0, resamples=20)
    assert difference == {"difference": None, "low": None, "high": None}


def test_refuses_groups_that_do_not_fit() -> None:
    labels, scores = simulated(0, 10)
    with pytest.raises(ValueError, match="9 groups and 10 labels"):
        bootstrap_intervals(labels, scores, np.arange(9).astype(str), 0.5, seed=0)
