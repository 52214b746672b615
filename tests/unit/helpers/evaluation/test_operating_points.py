"""Operating points and net benefit, by hand."""

import numpy as np
import pytest

from helpers.evaluation.operating_points import (
    benefit_of_all,
    chosen_thresholds,
    net_benefit,
    operating_points,
)

LABELS = np.array([0, 0, 0, 1, 1])
SCORES = np.array([0.1, 0.3, 0.6, 0.4, 0.9])


def test_decisions_and_changes_by_hand():
    own, lower, higher = operating_points(LABELS, SCORES, 0.5, [(0.35, "a"), (0.7, "b")])
    assert (own.detected, own.missed, own.correct, own.false_alarms) == (1, 1, 2, 1)
    assert (own.sensitivity, own.specificity) == (0.5, pytest.approx(2 / 3))
    assert (own.to_one, own.to_zero) == (0, 0)
    assert (lower.detected, lower.to_one, lower.to_zero, lower.rule) == (2, 1, 0, "a")
    assert (higher.false_alarms, higher.to_one, higher.to_zero) == (0, 0, 1)


def test_a_rate_without_images_is_not_defined():
    (point,) = operating_points(np.array([1, 1]), np.array([0.2, 0.9]), 0.5)
    assert (point.sensitivity, point.specificity) == (0.5, None)


def test_thresholds_are_chosen_by_each_rule_and_sorted():
    chosen = chosen_thresholds(LABELS, SCORES)
    assert chosen == [
        (0.4, "sensitivity>=0.95, sensitivity>=0.90, youden"),
        (0.5, "fixed"),
        (0.9, "specificity>=0.90, specificity>=0.95"),
    ]


def test_net_benefit_by_hand():
    at = np.array([0.0, 0.2, 0.5])
    # At 0.2: 2 hits, 2 false alarms at odds 1/4. At 0.5: 1 hit, 1 false alarm at odds 1.
    np.testing.assert_allclose(net_benefit(LABELS, SCORES, at), [2 / 5, (2 - 2 / 4) / 5, 0])
    np.testing.assert_allclose(benefit_of_all(LABELS, at), [2 / 5, (2 - 3 / 4) / 5, (2 - 3) / 5])


def test_perfect_scores_have_the_benefit_of_all_cases_at_any_threshold():
    np.testing.assert_allclose(net_benefit(LABELS, LABELS.astype(float), np.array([0.01, 0.9])), 2 / 5)
