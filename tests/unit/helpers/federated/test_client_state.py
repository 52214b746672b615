"""What clients remember: which arrays, under which names, and that they find their way back."""

import numpy as np
import pytest

from helpers.federated.client_state import ClientStatePlan
from helpers.federated.strategies.scaffold import correction, next_control, server_control, zero_control
from helpers.federated.weights import SchemaError, Weights, schema_of
from helpers.weight_store.codec import encode

NAMES = ["kernel", "gamma", "mean"]
MODEL: Weights = [np.full((2, 3), 5, np.float32), np.ones(3, np.float32), np.zeros(3, np.float32)]
SCHEMA = schema_of(NAMES, MODEL)


def plan(update_dtype="float32", strategy="fedavg", batch_norm="average") -> ClientStatePlan:
    return ClientStatePlan.of(
        SCHEMA,
        (True, True, False),
        (False, True, True),
        update_dtype=update_dtype,
        strategy=strategy,
        batch_norm=batch_norm,
    )


def names(of: ClientStatePlan) -> list[str]:
    return [spec.name for spec in of.schema]


def test_plain_averaging_remembers_nothing() -> None:
    for strategy in ("fedavg", "fedprox"):
        assert plan("float16", strategy).schema == ()


def test_what_is_remembered() -> None:
    assert names(plan("int8")) == ["kernel", "kernel.scale"]
    assert names(plan(strategy="scaffold")) == ["kernel.control", "gamma.control"]  # what is trained
    assert names(plan(batch_norm="local")) == ["gamma.own", "mean.own"]
    assert names(plan("int8", batch_norm="local")) == ["kernel", "kernel.scale", "gamma.own", "mean.own"]
    # What a client keeps for itself, the others' directions do not correct.
    both = plan(strategy="scaffold", batch_norm="local")
    assert names(both) == ["kernel.control", "gamma.own", "mean.own"]
    assert (plan().is_shared, both.is_shared) == ([True, True, False], [True, False, False])


def test_every_kind_is_found_again() -> None:
    everything = plan("int8", "scaffold", "local")
    arrays = [np.full(spec.shape, index, spec.dtype) for index, spec in enumerate(everything.schema)]
    encode(names(everything), arrays)  # the names are all different
    everything.check(arrays)
    memory = everything.split(arrays)
    assert [len(part) for part in (memory.feedback, memory.control, memory.own)] == [2, 1, 2]
    assert [array.flat[0] for array in everything.with_own(MODEL, memory)] == [5, 3, 4]
    assert everything.with_own(MODEL, everything.split([])) is MODEL  # a client that never trained
    assert [array.flat[0] for array in everything.owned(MODEL)] == [1, 0]
    assert [array.flat[0] for array in everything.controlled(MODEL)] == [5]


@pytest.mark.parametrize("index", range(5))
def test_a_memory_that_is_no_number_is_refused(index: int) -> None:
    everything = plan("int8", "scaffold", "local")
    arrays = [np.ones(spec.shape, spec.dtype) for spec in everything.schema]
    arrays[index] = np.full(arrays[index].shape, -128 if index == 0 else np.nan, arrays[index].dtype)
    with pytest.raises(SchemaError, match=names(everything)[index].removesuffix(".scale")):
        everything.check(arrays)


def test_control_variates_by_hand() -> None:
    c_i, c = [np.array([1.0, 2.0], np.float32)], [np.array([3.0, 5.0], np.float32)]
    assert correction(c_i, c)[0].tolist() == [2, 3]
    began, ended = [np.array([1.0, 1.0], np.float32)], [np.array([0.0, 2.0], np.float32)]
    # 4 steps at .5: (1, -1) / 2 is the mean direction; less the correction it is (-1.5, -3.5).
    (after,) = next_control(c_i, c, began, ended, num_steps=4, learning_rate=0.5)
    assert after.tolist() == [-1.5, -3.5]
    assert after.dtype == np.float32


def test_the_servers_is_the_mean_of_all_clients_seen_or_not() -> None:
    unseen = zero_control((SCHEMA[1],))
    (mean,) = server_control(iter([[np.array([3, 6, 9], np.float32)], unseen, unseen]))
    assert mean.tolist() == [1, 2, 3]
