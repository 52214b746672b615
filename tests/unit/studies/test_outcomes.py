"""Finished runs: choices by validation and paired differences of their tests."""

import numpy as np
import pytest

from helpers.run_records.files import RecordError
from studies.cases import Case
from studies.outcomes import (
    best_by_validation,
    best_case,
    difference,
    hardest,
    mean_difference,
    read_outcome,
)
from tests.unit.studies.made_up_outcomes import EVEN, PERFECT, WRONG, made_up


def test_what_a_run_says():
    one = made_up()
    assert (one.best_validation, one.megabytes, one.seconds) == (0.8, 3.0, 4.0)
    assert [one.rounds_to(auc) for auc in (0.6, 0.61, 0.81)] == [1, 2, None]


def test_the_tuned_case_is_that_of_the_best_validation_and_the_first_of_equals():
    found = {name: made_up(validation=(auc,)) for name, auc in (("a", 0.6), ("b", 0.7), ("c", 0.7))}
    cases = [Case(name, name, ()) for name in found]
    assert best_case(cases, lambda case: found[case.name]).name == "b"


def test_the_hardest_division_is_chosen_by_mean_validation_whatever_the_test_says():
    outcomes = {
        "easy": [made_up(WRONG, validation=(0.9,)), made_up(WRONG, validation=(0.5,))],
        "hard": [made_up(PERFECT, validation=(0.6,)), made_up(PERFECT, validation=(0.7,))],
    }
    assert hardest(outcomes, ["easy", "hard"]) == "hard"


def test_the_best_client_alone_is_chosen_by_validation():
    undefined, good = made_up(validation=(np.nan,)), made_up(WRONG, validation=(0.2, 0.4))
    chosen = best_by_validation([undefined, good])
    assert (chosen.files, chosen.title) == (good.files, "best client alone")


def test_difference_of_a_perfect_and_an_inverse_ranking():
    one, other = difference(made_up(PERFECT), made_up(WRONG)), difference(made_up(EVEN), made_up(PERFECT))
    assert (one["difference"], one["high"], other["difference"]) == (1.0, 1.0, -0.5)
    assert 0.5 < one["low"] < 1
    assert other["low"] < -0.5 < other["high"] < 0


def test_mean_difference_is_the_mean_of_the_seeds():
    ones = [made_up(PERFECT, seed=1), made_up(EVEN, seed=2)]
    references = [made_up(WRONG, seed=1), made_up(EVEN, seed=2)]
    alone = difference(ones[0], references[0])
    mean = mean_difference(ones, references)
    assert mean == {name: value / 2 for name, value in alone.items()}


def test_a_patient_in_the_tests_of_two_seeds_counts_once():
    """Repeating a test adds no evidence: the interval is as wide as that of one seed."""
    noisy = np.random.default_rng(0).uniform(size=32)
    one_seed = mean_difference([made_up(noisy)], [made_up(EVEN)])
    ones = [made_up(noisy, seed=seed) for seed in (1, 2, 3, 4)]
    four = mean_difference(ones, [made_up(EVEN, seed=seed) for seed in (1, 2, 3, 4)])
    width, width_of_four = (estimate["high"] - estimate["low"] for estimate in (one_seed, four))
    assert width_of_four == pytest.approx(width, rel=0.15)  # half of it, were they drawn apart
    assert four["difference"] == pytest.approx(one_seed["difference"])


def test_a_mean_difference_without_a_class_has_no_interval():
    labels = np.array([0, 0])
    pair = made_up(labels * 0.5, labels=labels), made_up(labels * 0.5, labels=labels)
    assert mean_difference([pair[0]], [pair[1]]) == {"difference": None, "low": None, "high": None}


def test_other_images_are_not_compared():
    with pytest.raises(RecordError, match="seed-1-case and seed-1-case were tested on different images"):
        difference(made_up(), made_up(digest="other"))


def test_a_run_that_is_not_finished_has_no_outcome(tmp_path):
    with pytest.raises(RecordError, match="run seed-1-x: not finished"):
        read_outcome(tmp_path, tmp_path, "seed-1-x", 1, "x")
