"""Metrics, compared with hand calculations and scikit-learn; undefined ones are None."""

import math

import numpy as np
import pytest
from sklearn import calibration
from sklearn import metrics as sk

from helpers.evaluation.metrics import (
    CLASS_METRIC_NAMES,
    METRIC_NAMES,
    SENSITIVITY,
    Metrics,
    evaluate,
)


def metrics_of(labels: np.ndarray, scores: np.ndarray, threshold: float = 0.5) -> Metrics:
    return evaluate(labels, scores, threshold).metrics


def test_by_hand() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    scores = np.array([0.1, 0.6, 0.4, 0.5, 0.9])  # at or above .5: 0 1 0 1 1
    metrics = metrics_of(labels, scores)
    assert tuple(metrics) == (*METRIC_NAMES, SENSITIVITY)
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
    metrics = metrics_of(np.array([0, 1, 1, 1]), np.array([0.71, 0.73, 0.79, 0.77]))
    assert metrics["calibration_error"] == pytest.approx(0)


def expected_calibration_error(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the error from scikit-learn's calibration curve, which omits empty bins."""
    fractions, means = calibration.calibration_curve(labels, scores, n_bins=10)
    bins = np.searchsorted(np.linspace(0, 1, 11)[1:-1], scores)
    sizes = np.bincount(bins)[np.bincount(bins) > 0]
    return float(np.average(np.abs(fractions - means), weights=sizes))


def scikit_learns(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, float]:
    """Return every metric by scikit-learn, for labels of both classes."""
    decisions = (scores >= threshold).astype(int)
    undefined = {"zero_division": math.nan}
    fpr, tpr, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    return {
        "val_loss": sk.log_loss(labels, scores.clip(1e-7, 1 - 1e-7)),
        "accuracy": sk.accuracy_score(labels, decisions),
        "precision": sk.precision_score(labels, decisions, **undefined),
        "recall": sk.recall_score(labels, decisions, **undefined),
        "f1_score": sk.f1_score(labels, decisions, **undefined),
        "roc_auc": sk.roc_auc_score(labels, scores),
        "average_precision": sk.average_precision_score(labels, scores),
        "specificity": sk.recall_score(labels, decisions, pos_label=0, **undefined),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, decisions),
        "brier_score": sk.brier_score_loss(labels, scores),
        SENSITIVITY: max(tpr[1 - fpr >= 0.9 - 1e-9]),
    }


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("digits", [1, 7])  # of the scores; with 1, many are equal
@pytest.mark.parametrize("threshold", [0.2, 0.5, 1.01])  # the last makes no positive prediction
def test_equal_scikit_learns(seed: int, digits: int, threshold: float) -> None:
    generator = np.random.default_rng(seed)
    labels = np.append(generator.integers(0, 2, 98), [0, 1])
    scores = np.clip(generator.normal(0.4 + 0.2 * labels, 0.3), 0, 1).round(digits)
    metrics = metrics_of(labels, scores, threshold)
    expected = scikit_learns(labels, scores, threshold)
    expected["calibration_error"] = expected_calibration_error(labels, scores)
    reported = {name: math.nan if value is None else value for name, value in metrics.items()}
    assert reported == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_another_threshold_moves_the_decisions_not_the_auc() -> None:
    labels, scores = np.array([0, 1, 1]), np.array([0.2, 0.3, 0.8])
    low, high = metrics_of(labels, scores, 0.25), metrics_of(labels, scores, 0.9)
    assert low["accuracy"] == 1
    assert high["recall"] == 0
    assert low["roc_auc"] == high["roc_auc"] == 1


def test_undefined_is_none() -> None:
    scores = np.array([0.1, 0.2, 0.3])
    undefined = {"roc_auc", "average_precision", "balanced_accuracy", "precision", SENSITIVITY}
    only_healthy = metrics_of(np.zeros(3, int), scores)
    assert {name for name, value in only_healthy.items() if value is None} == undefined | {
        "recall",
        "f1_score",
    }
    assert only_healthy["accuracy"] == only_healthy["specificity"] == 1
    only_cancers = metrics_of(np.ones(3, int), scores)
    assert {name for name, value in only_cancers.items() if value is None} == undefined | {"specificity"}
    none_detected = metrics_of(np.array([0, 1]), np.array([0.1, 0.2]))
    assert none_detected["precision"] is None
    assert none_detected["recall"] == 0


def test_sensitivity_at_a_specificity_by_hand() -> None:
    labels = np.repeat([0, 1], 10)
    healthy, cancers = np.arange(10) / 20, np.arange(10) / 20 + 0.26
    scores = np.concatenate([healthy, cancers])  # healthy .00 … .45, cancers .26 … .71
    assert metrics_of(labels, scores)[SENSITIVITY] == pytest.approx(0.7)  # from .41 on: above .40
    assert metrics_of(labels, 1 - scores)[SENSITIVITY] == 0


def three_classes(seed: int, digits: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = np.append(generator.integers(0, 3, 97), [0, 1, 2])
    scores = (generator.dirichlet([1, 1, 1], 100) / 2 + np.eye(3)[labels] / 4).round(digits)
    return labels, scores / scores.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("digits", [1, 7])
def test_three_classes_equal_scikit_learns(seed: int, digits: int) -> None:
    labels, scores = three_classes(seed, digits)
    truth, decisions = np.eye(3, dtype=int)[labels], scores.argmax(axis=1)
    evaluation = evaluate(labels, scores)
    by_class = {
        "precision": sk.precision_score(labels, decisions, average=None),
        "recall": sk.recall_score(labels, decisions, average=None),
        "f1_score": sk.f1_score(labels, decisions, average=None),
        "roc_auc": sk.roc_auc_score(truth, scores, average=None),
        "average_precision": sk.average_precision_score(truth, scores, average=None),
        "specificity": [
            sk.recall_score(labels != label, decisions != label, zero_division=math.nan) for label in range(3)
        ],
        SENSITIVITY: [metrics_of(truth[:, label], scores[:, label])[SENSITIVITY] for label in range(3)],
    }
    assert tuple(by_class) == CLASS_METRIC_NAMES
    for label, metrics in enumerate(evaluation.by_class):
        assert metrics == pytest.approx({name: values[label] for name, values in by_class.items()}, rel=1e-12)
    overall = {name: float(np.mean(values)) for name, values in by_class.items()} | {
        "val_loss": -np.mean(np.log(scores[np.arange(100), labels].clip(1e-7, 1 - 1e-7))),
        "accuracy": sk.accuracy_score(labels, decisions),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, decisions),
        "brier_score": sk.brier_score_loss(labels, scores, scale_by_half=False),
        "calibration_error": expected_calibration_error(decisions == labels, scores.max(axis=1)),
    }
    assert evaluation.metrics == pytest.approx(overall, rel=1e-12)
    assert evaluation.metrics["roc_auc"] == pytest.approx(sk.roc_auc_score(labels, scores, multi_class="ovr"))
    np.testing.assert_array_equal(evaluation.confusion, sk.confusion_matrix(labels, decisions))


def test_three_classes_by_hand() -> None:
    labels = np.array([0, 0, 1, 2])
    scores = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2]])
    evaluation = evaluate(labels, scores)
    assert evaluation.confusion.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    metrics = evaluation.metrics
    assert metrics["accuracy"] == pytest.approx(2 / 4)
    assert metrics["recall"] == metrics["balanced_accuracy"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert metrics["precision"] is None  # class 2 is never decided
    assert [row["precision"] for row in evaluation.by_class] == [1 / 2, 1 / 2, None]
    assert metrics["f1_score"] == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)
    assert metrics["specificity"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert metrics["val_loss"] == pytest.approx(-sum(map(math.log, [0.7, 0.2, 0.6, 0.2])) / 4)
    squares = [0.09 + 0.04 + 0.01, 0.64 + 0.25 + 0.09, 0.01 + 0.16 + 0.09, 0.25 + 0.09 + 0.64]
    assert metrics["brier_score"] == pytest.approx(sum(squares) / 4)
    # Confidence .7 right, .5 wrong, .6 right, .5 wrong; bins (.4, .5], (.5, .6], (.6, .7].
    assert metrics["calibration_error"] == pytest.approx((2 * 0.5 + 0.4 + 0.3) / 4)


def test_means_are_undefined_without_a_class_and_two_classes_have_no_rows_by_class() -> None:
    labels, scores = three_classes(0, 7)
    rest = labels < 2
    evaluation = evaluate(labels[rest], scores[rest])
    missing = {"recall", "roc_auc", "average_precision", "balanced_accuracy", SENSITIVITY}
    assert missing <= {name for name, value in evaluation.metrics.items() if value is None}
    assert evaluation.by_class[0]["roc_auc"] is not None
    assert evaluation.by_class[2]["roc_auc"] is None
    two = evaluate(labels[rest], scores[rest][:, 1])
    assert two.by_class == []
    assert two.confusion.sum() == rest.sum()


def test_refuses_scores_of_several_classes_that_are_no_probabilities() -> None:
    scores = np.full((2, 3), 1 / 3)
    for labels, bad, said in (
        ([0, 3], scores, "not all 0 to 2"),
        ([0, 1], scores * 1.1, "do not add up to 1"),
        ([0, 1], scores[:, :2], "expected"),
        ([0, 1], scores[:1], "expected"),
        ([0, 1], scores[..., None] / 1, "expected"),
    ):
        with pytest.raises(ValueError, match=said):
            evaluate(np.array(labels), bad)


def test_a_sure_mistake_costs_what_it_costs_in_keras() -> None:
    loss = metrics_of(np.array([1, 0]), np.array([0.0, 0.0], np.float32))["val_loss"]
    assert loss == pytest.approx(-math.log(1e-7) / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("labels", "scores"),
    [([], []), ([0, 1], [0.5]), ([0, 1], [0.5, math.nan]), ([0, 1], [0.5, 1.5]), ([0, 2], [0.5, 0.5])],
)
def test_refuses(labels: list, scores: list) -> None:
    with pytest.raises(ValueError, match="scores"):
        metrics_of(np.array(labels, int), np.array(scores))
