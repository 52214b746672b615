"""The server's optimizers: their papers' formulas number by number, and laws."""

import math

import numpy as np
import pytest
from helpers.federated.strategies.server_optimizers import OPTIMIZERS, ServerRates
from helpers.federated.strategies.server_step import follow, initial_server_state, server_state_schema
from hypothesis import given
from hypothesis import strategies as st

from helpers.federated.aggregation import weighted_mean
from helpers.federated.weights import SchemaError, Weights, schema_of

TRAINABLE = (True, False)
RATES = ServerRates(learning_rate=0.3, momentum=0.6, beta_2=0.8, tau=0.02)
GLOBAL: Weights = [np.array([1.0, -2.0, 0.5]), np.array([0.5])]
MEANS: list[Weights] = [
    [np.array([1.2, -2.5, 0.5]), np.array([0.4])],
    [np.array([0.9, -1.0, 0.6]), np.array([0.0])],
    [np.array([3.0, -1.1, 0.1]), np.array([0.3])],
]
"""What the clients' mean is in three rounds; float64, so that only the formula can differ."""
SCHEMA = schema_of(["kernel", "variance"], GLOBAL)


def run(strategy: str, rates: ServerRates, means: list[Weights]) -> tuple[list[Weights], list[Weights]]:
    """The global weights and the server's state after each round."""
    weights = GLOBAL
    state = initial_server_state(server_state_schema(strategy, SCHEMA, TRAINABLE), rates.tau)
    all_weights, states = [], []
    for mean in means:
        weights, state = follow(strategy, rates, TRAINABLE, weights, mean, SCHEMA, state)
        all_weights.append(weights)
        states.append(state)
    return all_weights, states


def by_the_paper(strategy: str, start: float, means: list[float], rates: ServerRates) -> list[float]:
    """One coordinate in plain numbers, round after round."""
    x, m, v, path = start, 0.0, rates.tau**2, []
    for mean in means:
        delta = mean - x
        if strategy == "fedavgm":
            m = rates.momentum * m + delta
            x += rates.learning_rate * m
            path.append(x)
            continue
        m = rates.momentum * m + (1 - rates.momentum) * delta
        if strategy == "fedadagrad":
            v = v + delta * delta
        elif strategy == "fedadam":
            v = rates.beta_2 * v + (1 - rates.beta_2) * delta * delta
        elif v > delta * delta:
            v = v - (1 - rates.beta_2) * delta * delta
        elif v < delta * delta:
            v = v + (1 - rates.beta_2) * delta * delta
        x += rates.learning_rate * m / (math.sqrt(v) + rates.tau)
        path.append(x)
    return path


@pytest.mark.parametrize("strategy", OPTIMIZERS)
def test_three_rounds_are_the_papers(strategy: str) -> None:
    weights, _ = run(strategy, RATES, MEANS)
    for coordinate in range(3):
        means = [float(mean[0][coordinate]) for mean in MEANS]
        expected = by_the_paper(strategy, float(GLOBAL[0][coordinate]), means, RATES)
        found = [float(after[0][coordinate]) for after in weights]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_first_step_of_fedadam_by_hand() -> None:
    # Δ = .2: m = .4 · .2 = .08, v = .8 · .0004 + .2 · .04 = .00832.
    weights, _ = run("fedadam", RATES, MEANS[:1])
    assert weights[0][0][0] == pytest.approx(1 + 0.3 * 0.08 / (math.sqrt(0.00832) + 0.02), rel=1e-12)


@pytest.mark.parametrize("strategy", OPTIMIZERS)
def test_moving_statistics_are_the_clients_mean(strategy: str) -> None:
    weights, _ = run(strategy, RATES, MEANS)
    assert [float(after[1][0]) for after in weights] == [0.4, 0.0, 0.3]
    assert {
        spec.name.partition(".")[0] for spec in server_state_schema(strategy, SCHEMA, TRAINABLE)
    } == {"kernel"}  # fmt: skip


single = st.floats(-1e3, 1e3, width=32).filter(lambda value: value == 0 or abs(value) > 1e-3)


@given(st.lists(st.tuples(single, single, single), min_size=1, max_size=4), st.integers(1, 99))
def test_plain_descent_at_rate_1_is_fedavg_to_the_bit(values: list, num_examples: int) -> None:
    start, first, second = ([np.array(part, np.float32)] for part in zip(*values, strict=True))
    schema = schema_of(["kernel"], start)
    mean = weighted_mean([(first, num_examples), (second, 7)])
    rates = ServerRates(1.0, 0.0, 0.9, 1e-3)
    state = initial_server_state(server_state_schema("fedavgm", schema, (True,)), rates.tau)
    for _ in range(2):  # nothing is left of the round before
        weights, state = follow("fedavgm", rates, (True,), start, mean, schema, state)
        assert weights[0].dtype == np.float32
        np.testing.assert_array_equal(weights[0], mean[0])


def test_without_a_change_nothing_moves() -> None:
    for strategy in OPTIMIZERS:
        weights, _ = run(strategy, RATES, [GLOBAL])
        np.testing.assert_array_equal(weights[0][0], GLOBAL[0])


def test_state_and_weights_keep_the_models_dtype_and_inputs_stay() -> None:
    single: Weights = [np.ones(3, np.float32), np.ones(1, np.float32)]
    schema = schema_of(["kernel", "variance"], single)
    state_schema = server_state_schema("fedyogi", schema, TRAINABLE)
    assert [(spec.name, spec.dtype, spec.shape) for spec in state_schema] == [
        ("kernel.momentum", "float32", (3,)),
        ("kernel.second_moment", "float32", (3,)),
    ]
    before = initial_server_state(state_schema, 0.5)
    mean: Weights = [single[0] * 2, single[1] * 2]
    weights, after = follow("fedyogi", RATES, TRAINABLE, single, mean, schema, before)
    assert {array.dtype for array in (*weights, *after)} == {np.dtype(np.float32)}
    assert [float(array[0]) for array in (single[0], mean[0], *before)] == [1, 2, 0, 0.25]


@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3), st.floats(0, 0.999), st.floats(1e-6, 1))
def test_second_moments_never_become_negative(changes: list[float], beta_2: float, tau: float) -> None:
    rates = ServerRates(0.1, 0.9, beta_2, tau)
    means: list[Weights] = [[np.full(3, change), np.zeros(1)] for change in changes]
    for strategy in ("fedadagrad", "fedadam", "fedyogi"):
        _, states = run(strategy, rates, means)
        assert all((state[1] >= 0).all() for state in states)


def test_a_step_out_of_range_names_the_setting() -> None:
    huge: Weights = [np.full(3, 3e38, np.float32), np.ones(1, np.float32)]
    zero: Weights = [np.zeros(3, np.float32), np.ones(1, np.float32)]
    schema = schema_of(["kernel", "variance"], zero)
    rates = ServerRates(100, 0.9, 0.9, 1e-3)
    state = initial_server_state(server_state_schema("fedavgm", schema, TRAINABLE), rates.tau)
    with pytest.raises(SchemaError, match=r"kernel: NaN or infinite.*SERVER_LEARNING_RATE is 100: lower it"):
        follow("fedavgm", rates, TRAINABLE, zero, huge, schema, state)


def test_another_optimizers_state_is_refused() -> None:
    state = initial_server_state(server_state_schema("fedavgm", SCHEMA, TRAINABLE), 0.1)
    with pytest.raises(SchemaError, match="1 arrays received, the model has 2"):
        follow("fedadam", RATES, TRAINABLE, GLOBAL, MEANS[0], SCHEMA, state)


def test_other_strategies_have_the_server_remember_nothing() -> None:
    assert server_state_schema("fedavg", SCHEMA, TRAINABLE) == ()
    assert server_state_schema("krum", SCHEMA, TRAINABLE) == ()
