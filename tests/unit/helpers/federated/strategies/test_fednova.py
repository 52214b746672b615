"""FedNova: FedAvg for equal steps, and the true optimum for unequal ones, where FedAvg misses it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.federated.strategies import Strategy
from helpers.federated.strategies.base import Update
from helpers.federated.weights import SchemaError, Weights
from tests.unit.helpers.federated.strategies.crowds import NUMBERS, update
from tests.unit.helpers.federated.strategies.rounds import make, server

SGD = {"OPTIMIZER": "sgd"}
OPTIMA = np.array([[1.0, 0.0], [-3.0, 2.0], [5.0, 7.0]])
STEPS, ROWS = (1, 4, 20), (10, 30, 20)
SHARES = np.array(ROWS) / sum(ROWS)


def test_by_hand() -> None:
    start = update(1, statistic=0)
    updates = [
        Update(update(3, statistic=10), num_examples=1, num_steps=2, num_rows=1),  # 1 a step
        Update(update(-9, statistic=2), num_examples=3, num_steps=5, num_rows=3),  # -2 a step
    ]
    # Mean change a step (1 − 6) / 4 = −1.25, mean number of steps (2 + 15) / 4 = 4.25.
    weights, state = make("fednova", **SGD).aggregate(updates, server(start))
    assert weights[0][0] == pytest.approx(1 - 1.25 * 4.25)
    assert (weights[1].tolist(), state) == ([4], [])  # (10 + 3 · 2) / 4, as FedAvg has it


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=4), st.integers(1, 500))
def test_equal_steps_are_fedavg_up_to_rounding(values: list, num_steps: int) -> None:
    start, first, second = (update(*part, statistic=part[0]) for part in zip(*values, strict=True))
    updates = [Update(first, 6, num_steps, 3), Update(second, 14, num_steps, 7)]
    nova, _ = make("fednova", **SGD).aggregate(updates, server(start))
    mean, _ = make("fedavg").aggregate(updates, server(start))
    np.testing.assert_allclose(nova[0], mean[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(nova[1], mean[1])


def descended(start: np.ndarray, optimum: np.ndarray, num_steps: int, rate: float) -> np.ndarray:
    """Return the end of exact gradient steps on ½‖x − optimum‖²."""
    return optimum + (1 - rate) ** num_steps * (start - optimum)


def limit(strategy: Strategy, rate: float) -> np.ndarray:
    """Return where three clients end that make unequal numbers of steps."""
    weights: Weights = [np.zeros(2)]
    for _ in range(int(4 / rate)):
        updates = [
            Update([descended(weights[0], optimum, steps, rate)], rows, steps, rows)
            for optimum, steps, rows in zip(OPTIMA, STEPS, ROWS, strict=True)
        ]
        weights, _ = strategy.aggregate(updates, server(weights, trainable=(True,)))
    return weights[0]


@pytest.mark.parametrize("rate", [0.1, 0.003])
def test_unequal_steps_end_at_the_optimum_where_fedavg_ends_at_another_point(rate: float) -> None:
    """Both ends in closed form, as Lemma 1 of the paper has FedAvg's."""
    pulls = SHARES * (1 - (1 - rate) ** np.array(STEPS))  # of FedAvg
    even = pulls / np.array(STEPS)  # of FedNova; p_k η as η goes to 0
    fedavg, fednova = limit(make("fedavg"), rate), limit(make("fednova", **SGD), rate)
    np.testing.assert_allclose(fedavg, pulls @ OPTIMA / pulls.sum(), rtol=1e-9)
    np.testing.assert_allclose(fednova, even @ OPTIMA / even.sum(), rtol=1e-9)
    optimum = SHARES @ OPTIMA
    assert np.linalg.norm(fedavg - optimum) > 1
    assert np.linalg.norm(fednova - optimum) < 30 * rate


def test_a_client_that_stopped_early_counts_by_its_images_and_not_by_those_it_saw() -> None:
    updates = [Update(update(2), 100, 10, 100), Update(update(1), 10, 1, 100)]  # .2 and 1 a step
    weights, _ = make("fednova", **SGD).aggregate(updates, server(update(0)))
    assert weights[0][0] == pytest.approx((0.2 + 1) / 2 * (10 + 1) / 2)


def test_many_steps_lose_no_more_digits_than_few() -> None:
    generator = np.random.default_rng(1)
    start, change = generator.standard_normal((2, 1000)) * [[1], [1e-3]]
    updates = [
        Update([(start + change).astype(np.float32)], 1, 1000, 1),
        Update([(start + 2 * change).astype(np.float32)], 1, 2000, 1),
    ]
    single = start.astype(np.float32)
    weights, _ = make("fednova", **SGD).aggregate(updates, server([single], trainable=(True,)))
    np.testing.assert_allclose(weights[0] - start, 1.5 * change, atol=1e-6)


def test_a_step_out_of_range_says_what_to_do() -> None:
    updates = [Update(update(-3e38), 1, 1, 1), Update(update(0), 1, 100, 1)]
    with pytest.raises(SchemaError, match=r"kernel: NaN or infinite values\); lower BASE_LR, or set MAX_UPD"):
        make("fednova", **SGD).aggregate(updates, server(update(3e38)))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "OPTIMIZER: received 'adam': STRATEGY=fednova derives mean gradients from"),
        ({**SGD, "PRECISION": "mixed_float16"}, "PRECISION: received 'mixed_float16' with STRATEGY=fednova"),
        ({**SGD, "UPDATE_DTYPE": "int8", "MAX_UPDATE_NORM": 1.0}, ""),
    ],
)
def test_which_settings_it_needs(settings: dict[str, Any], said: str) -> None:
    reason = make("fednova", **settings).check()
    assert reason.startswith(said)
    assert bool(reason) == bool(said)
