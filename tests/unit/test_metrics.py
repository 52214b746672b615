"""Metrics: checked by hand and by scikit-learn on the same scores; what is undefined stays empty."""

import math

import numpy as np
import pytest
from sklearn import calibration
from sklearn import metrics as sk

from helpers.evaluation.metrics import METRIC_NAMES, binary_metrics, sensitivity_at_specificity
from helpers.evaluation.weighted_metrics import weighted_metrics


def test_by_hand() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    scores = np.array([0.1, 0.6, 0.4, 0.5, 0.9])  # at or above .5: 0 1 0 1 1
    metrics = binary_metrics(labels, scores)
    assert tuple(metrics) == METRIC_NAMES
    assert metrics["accuracy"] == pytest.approx(3 / 5)
    assert metrics["precision"] == pytest.approx(2 / 3)
    assert metrics["recall"] == pytest.approx(2 / 3)
    assert metrics["f1_score"] == pytest.approx(2 / 3)
    assert metrics["specificity"] == pytest.approx(1 / 2)
    assert metrics["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert metrics["roc_auc"] == pytest.approx(4 / 6)  # 4 of 6 pairs in the right order
    assert metrics["average_precision"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    chances = [0.9, 0.4, 0.4, 0.5, 0.9]
    assert metrics["val_loss"] == pytest.approx(-sum(map(math.log, chances)) / 5)
    assert metrics["brier_score"] == pytest.approx(sum((1 - chance) ** 2 for chance in chances) / 5)
    assert metrics["calibration_error"] == pytest.approx((0.1 + 0.6 + 0.6 + 0.5 + 0.1) / 5)  # 1 a bin


def test_images_of_one_bin_share_their_calibration_error() -> None:
    metrics = binary_metrics(np.array([0, 1, 1, 1]), np.array([0.71, 0.73, 0.79, 0.77]))
    assert metrics["calibration_error"] == pytest.approx(0)


def expected_calibration_error(labels: np.ndarray, scores: np.ndarray) -> float:
    """By scikit-learn's calibration curve; it leaves out empty bins."""
    fractions, means = calibration.calibration_curve(labels, scores, n_bins=10)
    bins = np.searchsorted(np.linspace(0, 1, 11)[1:-1], scores)
    sizes = np.bincount(bins)[np.bincount(bins) > 0]
    return float(np.average(np.abs(fractions - means), weights=sizes))


def scikit_learns(
    labels: np.ndarray, scores: np.ndarray, threshold: float, weights: np.ndarray
) -> dict[str, float]:
    """Every metric by scikit-learn, for labels of both classes."""
    decisions = (scores >= threshold).astype(int)
    weighted = {"sample_weight": weights}
    undefined = {"zero_division": math.nan, **weighted}
    fpr, tpr, _ = sk.roc_curve(labels, scores, drop_intermediate=False, **weighted)
    return {
        "val_loss": sk.log_loss(labels, scores.clip(1e-7, 1 - 1e-7), **weighted),
        "accuracy": sk.accuracy_score(labels, decisions, **weighted),
        "precision": sk.precision_score(labels, decisions, **undefined),
        "recall": sk.recall_score(labels, decisions, **undefined),
        "f1_score": sk.f1_score(labels, decisions, **undefined),
        "roc_auc": sk.roc_auc_score(labels, scores, **weighted),
        "average_precision": sk.average_precision_score(labels, scores, **weighted),
        "specificity": sk.recall_score(labels, decisions, pos_label=0, **undefined),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, decisions, **weighted),
        "brier_score": sk.brier_score_loss(labels, scores, **weighted),
        "sensitivity_at_specificity": max(tpr[1 - fpr >= 0.9 - 1e-9]),
    }


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("digits", [1, 7])  # of the scores; with 1, many are equal
@pytest.mark.parametrize("threshold", [0.2, 0.5, 1.01])  # the last makes no positive prediction
def test_equal_scikit_learns(seed: int, digits: int, threshold: float) -> None:
    generator = np.random.default_rng(seed)
    labels = np.append(generator.integers(0, 2, 98), [0, 1])
    scores = np.clip(generator.normal(0.4 + 0.2 * labels, 0.3), 0, 1).round(digits)
    metrics = binary_metrics(labels, scores, threshold)
    expected = scikit_learns(labels, scores, threshold, np.ones(100))
    expected["calibration_error"] = expected_calibration_error(labels, scores)
    at_90 = expected.pop("sensitivity_at_specificity")
    assert sensitivity_at_specificity(labels, scores) == pytest.approx(at_90)
    reported = {name: math.nan if value is None else value for name, value in metrics.items()}
    assert reported == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_every_row_of_weights_equals_scikit_learns_sample_weight() -> None:
    generator = np.random.default_rng(0)
    labels, scores = generator.integers(0, 2, 60), generator.random(60).round(1)
    weights = generator.integers(0, 4, (5, 60)).astype(float)
    values = weighted_metrics(labels, scores, weights, 0.5)
    for row in range(5):
        expected = scikit_learns(labels, scores, 0.5, weights[row])
        assert {name: values[name][row] for name in expected} == pytest.approx(expected, rel=1e-12)


def test_a_weight_is_a_number_of_copies() -> None:
    labels, scores = np.array([0, 1, 1, 0]), np.array([0.3, 0.35, 0.8, 0.9])
    counts = np.array([2, 0, 1, 3])
    values = weighted_metrics(labels, scores, counts[None].astype(float), 0.5)
    copies = binary_metrics(labels.repeat(counts), scores.repeat(counts))
    assert {name: values[name][0] for name in METRIC_NAMES} == pytest.approx(copies)


def test_another_threshold_moves_the_decisions_not_the_auc() -> None:
    labels, scores = np.array([0, 1, 1]), np.array([0.2, 0.3, 0.8])
    low, high = binary_metrics(labels, scores, 0.25), binary_metrics(labels, scores, 0.9)
    assert low["accuracy"] == 1
    assert high["recall"] == 0
    assert low["roc_auc"] == high["roc_auc"] == 1


def test_undefined_is_none() -> None:
    scores = np.array([0.1, 0.2, 0.3])
    undefined = {"roc_auc", "average_precision", "balanced_accuracy", "precision"}
    only_healthy = binary_metrics(np.zeros(3, int), scores)
    assert {name for name, value in only_healthy.items() if value is None} == undefined | {
        "recall",
        "f1_score",
    }
    assert only_healthy["accuracy"] == only_healthy["specificity"] == 1
    only_cancers = binary_metrics(np.ones(3, int), scores)
    assert {name for name, value in only_cancers.items() if value is None} == undefined | {"specificity"}
    assert sensitivity_at_specificity(np.ones(3, int), scores) is None
    none_found = binary_metrics(np.array([0, 1]), np.array([0.1, 0.2]))
    assert none_found["precision"] is None
    assert none_found["recall"] == 0


def test_sensitivity_at_a_specificity_by_hand() -> None:
    labels = np.repeat([0, 1], 10)
    healthy, cancers = np.arange(10) / 20, np.arange(10) / 20 + 0.26
    scores = np.concatenate([healthy, cancers])  # healthy .00 … .45, cancers .26 … .71
    assert sensitivity_at_specificity(labels, scores, 0.9) == pytest.approx(0.7)  # from .41 on: above .40
    assert sensitivity_at_specificity(labels, scores, 1) == pytest.approx(0.6)
    assert sensitivity_at_specificity(labels, scores, 0) == 1
    assert sensitivity_at_specificity(labels, 1 - scores, 0.9) == 0


def test_a_sure_mistake_costs_what_it_costs_in_keras() -> None:
    loss = binary_metrics(np.array([1, 0]), np.array([0.0, 0.0], np.float32))["val_loss"]
    assert loss == pytest.approx(-math.log(1e-7) / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("labels", "scores"),
    [([], []), ([0, 1], [0.5]), ([0, 1], [0.5, math.nan]), ([0, 1], [0.5, 1.5]), ([0, 2], [0.5, 0.5])],
)
def test_refuses(labels: list, scores: list) -> None:
    with pytest.raises(ValueError, match="scores"):
        binary_metrics(np.array(labels, int), np.array(scores))
