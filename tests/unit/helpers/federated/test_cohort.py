"""Cohorts: which clients take part in a round."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.federated.cohort import Cohort, CohortChooser, PoissonChooser, sample_clients
from helpers.federated.results import RunState


@given(st.integers(1, 300), st.floats(0.001, 1), st.integers(0, 2**40), st.integers(1, 10**6))
def test_a_sample_is_of_different_clients_in_order_and_depends_on_seed_and_round_alone(
    number: int, fraction: float, seed: int, round_number: int
) -> None:
    sample = sample_clients(range(number), fraction, seed, round_number)
    assert sample == sorted(set(sample))
    assert set(sample) <= set(range(number))
    assert abs(len(sample) - fraction * number) <= 0.5 or len(sample) == 1
    assert sample == sample_clients(range(number), fraction, seed, round_number)


@pytest.mark.parametrize(
    ("fraction", "number", "drawn"), [(0.5, 10, 5), (0.5, 3, 2), (0.1, 30, 3), (0.01, 3, 1), (0.99, 3, 3)]
)
def test_how_many_are_drawn(fraction: float, number: int, drawn: int) -> None:
    assert len(sample_clients(range(number), fraction, 42, 1)) == drawn


def test_all_take_part_in_the_order_given_at_fraction_one() -> None:
    assert sample_clients([2, 0, 1], 1.0, 42, 1) == [2, 0, 1]


def test_named_clients_are_sampled_too_and_every_round_draws_anew() -> None:
    samples = {tuple(sample_clients([9, 4, 7, 2], 0.5, 42, number)) for number in range(1, 40)}
    assert samples == {(2, 4), (2, 7), (2, 9), (4, 7), (4, 9), (7, 9)}


def test_every_client_is_drawn_as_often_as_any_other() -> None:
    drawn = [client for number in range(1000) for client in sample_clients(range(10), 0.3, 42, number)]
    counts = [drawn.count(client) for client in range(10)]
    assert sum(counts) == 3000
    assert max(abs(count - 300) for count in counts) < 60  # 4 standard deviations of 14.5


def test_the_number_of_clients_is_asked_for_at_every_round_and_a_change_is_said() -> None:
    counts, notices = iter([3, 3, 4, 2]), []
    chooser = CohortChooser(lambda: next(counts), lambda count: list(range(count)), 1.0, 0, notices.append)
    cohorts = [chooser.choose(RunState("r", number, "f", None, None, None)) for number in range(4)]
    assert cohorts == [Cohort(3, [0, 1, 2])] * 2 + [Cohort(4, [0, 1, 2, 3]), Cohort(2, [0, 1])]
    assert [text.partition(",")[0] for text in notices] == [
        "round 3: 4 clients instead of 3", "round 4: 2 clients instead of 4",
    ]  # fmt: skip


def test_private_clients_are_drawn_one_by_one_and_not_from_the_seed() -> None:
    asked: list[tuple[int, float]] = []

    def draw(count: int, rate: float) -> np.ndarray:
        asked.append((count, rate))
        return np.arange(count) % 3 == len(asked) % 3

    options = {"count_clients": lambda: 6, "clients_of": lambda count: list(range(10, 10 + count))}
    chooser = PoissonChooser(draw=draw, fraction=0.4, seed=42, notice=print, **options)
    state = RunState("r", 0, "f", None, None, None)
    assert chooser.choose(state) == Cohort(6, [11, 14])
    assert chooser.choose(state) == Cohort(6, [12, 15])
    assert asked == [(6, 0.4)] * 2
    usual = PoissonChooser(fraction=0.5, seed=42, notice=print, **options | {"count_clients": lambda: 200})
    assert usual.choose(state) != usual.choose(state)
