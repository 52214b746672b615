"""Counts by bins of the logit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.evaluation.metrics import evaluate, ranking
from helpers.evaluation.score_bins import (
    HIGHEST,
    LOWEST,
    bins_of,
    logits,
    pooled,
    probabilities,
    ranking_of,
    read_bins,
    rounded,
)


def sigmoid(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-values.astype(np.float64)))).astype(np.float32)


def a_tenth_far_away(generator: np.random.Generator, values: np.ndarray) -> np.ndarray:
    return np.where(generator.random(len(values)) < 0.1, 20 * values, values / 10)


SCORES: dict[str, Callable[[np.random.Generator, np.ndarray], np.ndarray]] = {
    "usual": lambda generator, values: sigmoid(values),
    "close together, as of an untrained network": lambda generator, values: sigmoid(values / 1000 - 2),
    "saturated near 1": lambda generator, values: sigmoid(9 + 2 * values),
    "saturated near 0": lambda generator, values: sigmoid(10 * values - 40),
    "saturated at both ends": lambda generator, values: sigmoid(20 * values),
    "some saturated": lambda generator, values: sigmoid(a_tenth_far_away(generator, values)),
    "constant": lambda generator, values: np.full(len(values), 0.5, np.float32),
}


@pytest.mark.parametrize("kind", SCORES)
def test_the_auc_of_three_sites_by_counts_is_within_5_thousandths_of_the_exact_one(kind: str) -> None:
    generator = np.random.default_rng(0)
    for _ in range(100):
        sites = []
        for number in generator.integers(12, 120, 3):
            labels = (generator.random(number) < 0.4).astype(int)
            values = generator.normal(size=number) + 1.2 * labels
            sites.append((labels, SCORES[kind](generator, values)))
        labels, scores = (np.concatenate(parts) for parts in zip(*sites, strict=True))
        (by_counts,) = ranking_of([bins_of(*site) for site in sites])
        assert by_counts[0] == pytest.approx(ranking(labels, scores)[0], abs=0.005)


def test_classes_are_counted_each_against_the_rest() -> None:
    generator = np.random.default_rng(0)
    labels, scores = generator.integers(0, 3, 90), generator.dirichlet([1, 1, 1], 90).astype(np.float32)
    halves = slice(0, 40), slice(40, None)
    by_counts = ranking_of([bins_of(labels[half], scores[half]) for half in halves])
    exact = [row["roc_auc"] for row in evaluate(labels, scores).by_class]
    assert by_counts[:, 0] == pytest.approx(exact, abs=0.005)


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1, width=32)), min_size=1, max_size=50))
def test_what_a_site_counts_is_read_as_it_is(images: list[tuple[int, float]]) -> None:
    labels, scores = (np.array(column) for column in zip(*images, strict=True))
    bins = bins_of(labels, scores)
    assert read_bins(bins, np.bincount(labels, minlength=2).tolist()) == bins
    classes, middles = pooled(bins)
    assert sorted(classes) == sorted(labels)
    assert sorted(middles) == pytest.approx(sorted(logits(rounded(scores))), abs=1e-3)


def test_counts_do_not_depend_on_the_order_of_the_images() -> None:
    generator = np.random.default_rng(0)
    labels, scores = generator.integers(0, 2, 50), generator.random(50)
    order = generator.permutation(50)
    assert bins_of(labels[order], scores[order]) == bins_of(labels, scores)


@pytest.mark.parametrize("share_in_one_place", [0, 0.6])  # as a network that was made to have narrow bins
def test_a_count_says_at_most_10_bits_of_an_image(share_in_one_place: float) -> None:
    generator = np.random.default_rng(0)
    scores = np.where(generator.random(100_000) < share_in_one_place, 0.5, generator.random(100_000))
    (bins,) = bins_of(np.zeros(100_000, int), scores)
    assert len(bins["counts"]) == len(np.unique(rounded(scores))) <= 1025


def test_scores_of_0_and_1_stay_at_the_ends() -> None:
    assert logits(np.array([0.0, 1.0])).tolist() == [LOWEST, HIGHEST]
    assert probabilities(np.array([LOWEST, HIGHEST, 0.0])).tolist() == [0, 1, 0.5]
    assert rounded(np.array([0.5, 1.0, 0.5])).tolist() == [0.5, 1, 0.5]
    assert rounded(np.array([0.0, 0.0, 1e-40])).tolist()[:2] == [0, 0]
    assert rounded(np.array([[0.2, 0.3, 0.5]])).sum() == pytest.approx(1)


GOOD: Any = {"exponent": -4, "counts": [[-1, 2, 0], [3, 1, 4]]}


@pytest.mark.parametrize(
    "bins",
    [
        None, [], [GOOD, GOOD], [{"exponent": -4}], [GOOD | {"more": 1}],
        *([GOOD | {"exponent": exponent}] for exponent in (0, -21, -4.0, True, None)),
        *([GOOD | {"counts": rows}] for rows in (
            None, [], [[-1, 3, 4]] * 8, [[3, 1, 4], [-1, 2, 0]], [[3, 3, 4], [3, 0, 0]], [[-1, 3]], [3, 3, 4],
            [[-1, 3.0, 4]], [[-1, 3, True]], [[-1, 4, 4]], [[-1, 3, 5]], [[-1, 4, 4], [3, -1, 0]],
            [[10**9, 3, 4]], [[10**400, 3, 4]], [[-(10**9), 3, 4]],
        )),
    ],
)  # fmt: skip
def test_bins_that_cannot_be_are_refused(bins: Any) -> None:
    assert read_bins([GOOD], [3, 4]) == [GOOD]
    with pytest.raises(ValueError, match="tally"):
        read_bins(bins, [3, 4])
