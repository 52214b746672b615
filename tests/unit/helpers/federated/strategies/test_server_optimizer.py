"""Laws of all server optimizers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.federated.strategies import STRATEGIES
from helpers.federated.strategies.server_optimizer import AdaptiveServerOptimizer, ServerOptimizer
from helpers.federated.weights import SchemaError, Weights, schema_of
from tests.unit.helpers.federated.strategies.rounds import (
    GLOBAL,
    MEANS,
    RATES,
    TRAINABLE,
    alike,
    make,
    server,
    server_path,
)

OPTIMIZERS = [name for name, kind in STRATEGIES.items() if issubclass(kind, ServerOptimizer)]
ADAPTIVE = [name for name, kind in STRATEGIES.items() if issubclass(kind, AdaptiveServerOptimizer)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_moving_statistics_are_the_clients_mean(name: str) -> None:
    strategy = make(name, **RATES)
    assert [float(weights[1][0]) for weights, _ in server_path(strategy, MEANS)] == [0.4, 0.0, 0.3]
    remembered = strategy.server_schema(schema_of(["kernel", "variance"], GLOBAL), TRAINABLE)
    assert {spec.name.partition(".")[0] for spec in remembered} == {"kernel"}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_without_a_change_nothing_moves(name: str) -> None:
    ((weights, _),) = server_path(make(name, **RATES), [GLOBAL])
    np.testing.assert_array_equal(weights[0], GLOBAL[0])


def test_state_and_weights_keep_the_models_dtype_and_inputs_stay() -> None:
    single: Weights = [np.ones(3, np.float32), np.ones(1, np.float32)]
    strategy = make("fedyogi", **{**RATES, "SERVER_TAU": 0.5})
    assert isinstance(strategy, ServerOptimizer)
    state_schema = strategy.server_schema(schema_of(["kernel", "variance"], single), TRAINABLE)
    assert [(spec.name, spec.dtype, spec.shape) for spec in state_schema] == [
        ("kernel.momentum", "float32", (3,)),
        ("kernel.second_moment", "float32", (3,)),
    ]
    before = strategy.initial_state(state_schema)
    mean: Weights = [single[0] * 2, single[1] * 2]
    weights, after = strategy.aggregate(alike(mean), server(single, before))
    assert {array.dtype for array in (*weights, *after)} == {np.dtype(np.float32)}
    assert [float(array[0]) for array in (single[0], mean[0], *before)] == [1, 2, 0, 0.25]


@pytest.mark.parametrize("name", ADAPTIVE)
@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3), st.floats(0, 0.999), st.floats(1e-6, 1))
def test_second_moments_never_become_negative(
    name: str, changes: list[float], beta_2: float, tau: float
) -> None:
    strategy = make(name, SERVER_LEARNING_RATE=0.1, SERVER_BETA_2=beta_2, SERVER_TAU=tau)
    means: list[Weights] = [[np.full(3, change), np.zeros(1)] for change in changes]
    assert all((state[1] >= 0).all() for _, state in server_path(strategy, means))


def test_a_step_out_of_range_names_the_setting() -> None:
    huge: Weights = [np.full(3, 3e38, np.float32), np.ones(1, np.float32)]
    zero: Weights = [np.zeros(3, np.float32), np.ones(1, np.float32)]
    with pytest.raises(SchemaError, match=r"kernel: NaN or infinite.*SERVER_LEARNING_RATE is 100: lower it"):
        make("fedavgm", SERVER_LEARNING_RATE=100).aggregate(alike(huge), server(zero))


def test_another_optimizers_state_is_refused() -> None:
    ((_, state),) = server_path(make("fedavgm"), MEANS[:1])
    with pytest.raises(SchemaError, match="1 arrays received, the model has 2"):
        make("fedadam").aggregate(alike(MEANS[0]), server(GLOBAL, state))


def test_other_strategies_have_the_server_remember_nothing() -> None:
    schema = schema_of(["kernel", "variance"], GLOBAL)
    remember = {name for name, kind in STRATEGIES.items() if kind.server_state and name not in OPTIMIZERS}
    assert remember == {"feddyn"}
    assert make("fedavg").server_schema(schema, TRAINABLE) == ()
    assert make("krum").server_schema(schema, TRAINABLE) == ()
