"""Metrics: numbers one can check by hand, and what is undefined stays empty."""

import math

import numpy as np
import pytest

from helpers.evaluation.metrics import binary_metrics


def test_by_hand() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    scores = np.array([0.1, 0.6, 0.4, 0.5, 0.9])  # at or above .5: 0 1 0 1 1
    metrics = binary_metrics(labels, scores)
    assert metrics["accuracy"] == pytest.approx(3 / 5)
    assert metrics["precision"] == pytest.approx(2 / 3)
    assert metrics["recall"] == pytest.approx(2 / 3)
    assert metrics["f1_score"] == pytest.approx(2 / 3)
    assert metrics["roc_auc"] == pytest.approx(4 / 6)  # 4 of 6 pairs in the right order
    chances = [0.9, 0.4, 0.4, 0.5, 0.9]
    assert metrics["val_loss"] == pytest.approx(-sum(map(math.log, chances)) / 5)


def test_another_threshold_moves_the_decisions_not_the_auc() -> None:
    labels, scores = np.array([0, 1, 1]), np.array([0.2, 0.3, 0.8])
    low, high = binary_metrics(labels, scores, 0.25), binary_metrics(labels, scores, 0.9)
    assert low["accuracy"] == 1
    assert high["recall"] == 0
    assert low["roc_auc"] == high["roc_auc"] == 1


def test_undefined_is_none() -> None:
    only_healthy = binary_metrics(np.zeros(3, int), np.array([0.1, 0.2, 0.3]))
    assert only_healthy["roc_auc"] is None
    assert only_healthy["recall"] is None
    assert only_healthy["precision"] is None
    assert only_healthy["accuracy"] == 1
    none_found = binary_metrics(np.array([0, 1]), np.array([0.1, 0.2]))
    assert none_found["precision"] is None
    assert none_found["recall"] == 0


def test_a_sure_mistake_costs_what_it_costs_in_keras() -> None:
    loss = binary_metrics(np.array([1, 0]), np.array([0.0, 0.0], np.float32))["val_loss"]
    assert loss == pytest.approx(-math.log(1e-7) / 2, rel=1e-5)


@pytest.mark.parametrize(("labels", "scores"), [([], []), ([0, 1], [0.5]), ([0, 1], [0.5, math.nan])])
def test_refuses(labels: list, scores: list) -> None:
    with pytest.raises(ValueError, match="scores"):
        binary_metrics(np.array(labels, int), np.array(scores))
