"""Interval of the mean AUC of several trainings."""

import math

import numpy as np
import pytest
from scipy.special import stdtrit
from scipy.stats import norm

from helpers.evaluation.auc_intervals import auc_parts
from helpers.evaluation.repeated_auc import ScoredTest, mean_auc_interval, standard_error

PATIENTS = 60


def drawn(generator: np.random.Generator, effect: float, patients: np.ndarray) -> ScoredTest:
    """Return a test of two images of each patient; a third of the patients is of class 1."""
    number = np.repeat(patients, 2)
    labels = (number % 3 == 0).astype(int)
    scores = labels * effect + generator.standard_normal(len(labels))
    return ScoredTest(labels, scores, number.astype(str))


def halves(interval) -> tuple[float, float]:
    """Return middle and half width on the logit scale."""
    low, high = (math.log(limit / (1 - limit)) for limit in interval)
    return (low + high) / 2, (high - low) / 2


def test_trainings_that_agree_leave_the_uncertainty_of_the_patients():
    test = drawn(np.random.default_rng(0), 1.5, np.arange(PATIENTS))
    parts = auc_parts(test.labels, test.scores, np.unique(test.patients, return_inverse=True)[1])
    middle, width = halves(mean_auc_interval([test] * 4))
    assert middle == pytest.approx(math.log(parts.auc / (1 - parts.auc)))
    error = stdtrit(PATIENTS - 1, 0.975) * math.sqrt(parts.variance)
    assert width == pytest.approx(error / (parts.auc * (1 - parts.auc)))


def test_folds_have_the_interval_of_their_mean_by_student():
    aucs, influences = np.array([0.7, 0.8, 0.9]), np.zeros((3, 9))
    for fold in range(3):  # each patient is in one test, and contributes less than the folds differ
        influences[fold, 3 * fold : 3 * fold + 3] = [0.01, -0.02, 0.01]
    assert standard_error(aucs, influences) == pytest.approx(stdtrit(2, 0.975) * 0.1 / math.sqrt(3))


def test_patients_in_every_test_add_their_covariance():
    aucs, influences = np.array([0.7, 0.8, 0.9]), np.tile([0.05, -0.05, 0.0, 0.05], (3, 1))
    variance = 0.1**2 / 3 + 3 * 0.05**2
    assert standard_error(aucs, influences) > stdtrit(2, 0.975) * math.sqrt(0.1**2 / 3)
    freedom = (0.1**2 + 3 * 3 * 0.05**2) ** 2 * 2 / 0.1**4
    expected = stdtrit(min(freedom, 2), 0.975) * math.sqrt(variance)
    assert standard_error(aucs, influences) == pytest.approx(expected)


def test_undefined_aucs_have_no_interval():
    one_class = ScoredTest(np.zeros(4, int), np.arange(4.0), np.array(list("abcd")))
    perfect = ScoredTest(np.array([0, 0, 1, 1]), np.arange(4.0), np.array(list("abcd")))
    assert mean_auc_interval([one_class, perfect]) is None
    assert mean_auc_interval([perfect, perfect]) is None


def test_several_classes_are_means_over_them():
    generator = np.random.default_rng(1)
    labels, patients = np.arange(60) % 3, np.arange(60).astype(str)
    tests = []
    for _ in range(3):
        scores = generator.random((60, 3)) + np.eye(3)[labels] * 0.4
        tests.append(ScoredTest(labels, scores, patients))
    low, high = mean_auc_interval(tests)
    assert 0.5 < low < high < 1


@pytest.mark.parametrize("are_folds", [False, True])
def test_it_holds_the_mean_of_all_trainings_about_as_often_as_it_says(are_folds):
    generator, spread = np.random.default_rng(2), 0.2
    truth = norm.cdf((1.5 + spread * generator.standard_normal(100_000)) / math.sqrt(2)).mean()
    hits = 0
    for _ in range(200):
        fold_of = generator.permutation(PATIENTS) % 4
        tests = [
            drawn(
                generator,
                1.5 + spread * generator.standard_normal(),
                np.flatnonzero(fold_of == fold) if are_folds else np.arange(PATIENTS),
            )
            for fold in range(4)
        ]
        interval = mean_auc_interval(tests)
        hits += interval is not None and interval[0] <= truth <= interval[1]
    assert hits >= 180
