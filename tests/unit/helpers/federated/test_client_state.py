"""What clients remember: which arrays, under which names, and that they find their way back."""

import numpy as np
import pytest

from helpers.federated.client_state import ClientStatePlan
from helpers.federated.weights import Schema, SchemaError, Weights, schema_of
from helpers.weight_store.codec import encode
from tests.unit.helpers.federated.strategies.rounds import make

NAMES = ["kernel", "gamma", "mean"]
MODEL: Weights = [np.full((2, 3), 5, np.float32), np.ones(3, np.float32), np.zeros(3, np.float32)]
SCHEMA = schema_of(NAMES, MODEL)
SLOTS = schema_of(["iteration", "kernel_momentum"], [np.array(7), MODEL[0]])


def plan(
    update_dtype="float32", strategy="fedavg", batch_norm="average", optimizer: Schema = ()
) -> ClientStatePlan:
    is_private = [batch_norm == "local" and norm for norm in (False, True, True)]
    is_shared = [trains and not own for trains, own in zip((True, True, False), is_private, strict=True)]
    return ClientStatePlan.of(SCHEMA, is_shared, is_private, update_dtype, make(strategy), optimizer)


def names(of: ClientStatePlan) -> list[str]:
    return [spec.name for spec in of.schema]


def test_plain_averaging_remembers_nothing() -> None:
    for strategy in ("fedavg", "fedprox", "fednova"):
        assert plan("float16", strategy).schema == ()


def test_what_is_remembered() -> None:
    assert names(plan("int8")) == ["kernel", "kernel.scale"]
    assert names(plan(strategy="scaffold")) == ["kernel.control", "gamma.control"]  # what is trained
    assert names(plan(strategy="feddyn")) == ["kernel.gradient", "gamma.gradient"]
    assert names(plan(batch_norm="local")) == ["gamma.own", "mean.own"]
    assert names(plan("int8", batch_norm="local")) == ["kernel", "kernel.scale", "gamma.own", "mean.own"]
    assert names(plan(optimizer=SLOTS)) == ["iteration.optimizer", "kernel_momentum.optimizer"]
    # What a client keeps for itself, the others' directions do not correct.
    both = plan(strategy="scaffold", batch_norm="local")
    assert names(both) == ["kernel.control", "gamma.own", "mean.own"]
    assert (plan(strategy="scaffold").is_stepped, both.is_stepped) == (
        [True, True, False],
        [True, False, False],
    )
    assert plan().is_stepped == [False, False, False]


def test_every_kind_is_found_again() -> None:
    everything = plan("int8", "scaffold", "local", SLOTS)
    arrays = [np.full(spec.shape, index, spec.dtype) for index, spec in enumerate(everything.schema)]
    encode(names(everything), arrays)  # the names are all different
    everything.check(arrays)
    state = everything.split(arrays)
    parts = (state.feedback, state.strategy, state.private, state.optimizer)
    assert [len(part) for part in parts] == [2, 1, 2, 2]
    assert [int(array.flat[0]) for array in state.optimizer] == [5, 6]
    assert [array.flat[0] for array in everything.with_private(MODEL, state)] == [5, 3, 4]
    assert everything.with_private(MODEL, everything.split([])) is MODEL  # a client that never trained
    assert [array.flat[0] for array in everything.private_arrays(MODEL)] == [1, 0]
    assert [array.flat[0] for array in everything.stepped(MODEL)] == [5]


@pytest.mark.parametrize("index", range(5))
def test_a_state_that_is_not_a_number_is_refused(index: int) -> None:
    everything = plan("int8", "scaffold", "local")
    arrays = [np.ones(spec.shape, spec.dtype) for spec in everything.schema]
    arrays[index] = np.full(arrays[index].shape, -128 if index == 0 else np.nan, arrays[index].dtype)
    with pytest.raises(SchemaError, match=names(everything)[index].removesuffix(".scale")):
        everything.check(arrays)
