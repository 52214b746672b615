"""Compressed updates: how near they come, what error feedback makes up for, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from helpers.federated.compression import check_state, compress, decompress, payload_schema, state_schema
from helpers.federated.quantization import dequantize, quantize
from helpers.federated.weights import SchemaError, Weights, check_weights, num_bytes, schema_of

NAMES = ["kernel", "variance"]
GLOBAL: Weights = [np.array([[1.0, -2.0, 0.5]], np.float32), np.array([0.25, 1.0], np.float32)]
SCHEMA = schema_of(NAMES, GLOBAL)
CHANGED = ("float16", "int8")

numbers = st.floats(-1e4, 1e4, width=32)
kernels = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=4, max_side=4), elements=numbers)


def local(change: list[float], variance: tuple[float, float] = (0.25, 1.0)) -> Weights:
    return [GLOBAL[0] + np.array([change], np.float32), np.array(variance, np.float32)]


def there_and_back(dtype, schema, weights, start, state=()):
    """What the aggregation makes of an update, and the state its client keeps."""
    payload, state = compress(dtype, schema, weights, start, list(state))
    check_weights(payload, payload_schema(dtype, schema))
    check_weights(state, state_schema(dtype, schema))
    check_state(state_schema(dtype, schema), state)
    return decompress(dtype, schema, payload, start), state


def test_what_is_sent_and_remembered() -> None:
    assert payload_schema("float32", SCHEMA) == SCHEMA
    assert payload_schema("float16", SCHEMA) == (replace(SCHEMA[0], dtype="float16"), SCHEMA[1])
    int8 = [(spec.name, spec.dtype, spec.shape) for spec in payload_schema("int8", SCHEMA)]
    levels, scale = ("kernel", "int8", (1, 3)), ("kernel.scale", "float32", ())
    assert int8 == [levels, scale, ("variance", "float32", (2,))]
    assert [(spec.name, spec.dtype, spec.shape) for spec in state_schema("int8", SCHEMA)] == [levels, scale]
    assert state_schema("float32", SCHEMA) == state_schema("float16", SCHEMA) == ()


def test_half_and_quarter_of_the_bytes() -> None:
    schema = schema_of(["kernel", "bias"], [np.zeros((300, 100), np.float32), np.zeros(100, np.float32)])
    whole = num_bytes(schema)
    assert num_bytes(payload_schema("float16", schema)) / whole == pytest.approx(0.5, abs=0.01)
    assert num_bytes(payload_schema("int8", schema)) / whole == pytest.approx(0.25, abs=0.01)
    assert num_bytes(state_schema("int8", schema)) / whole == pytest.approx(0.25, abs=0.01)


def test_float32_is_sent_as_it_is() -> None:
    weights = local([0.1, 0.2, 0.3])
    payload, state = compress("float32", SCHEMA, weights, [], [])
    assert payload is weights
    assert state == []
    assert decompress("float32", SCHEMA, payload, []) is weights


def test_int8_by_hand() -> None:
    levels, scale = quantize(np.array([[127.0, -63.6], [0.4, 0.0]], np.float32))
    assert levels.tolist() == [[127, -64], [0, 0]]
    assert (levels.dtype, scale.dtype, scale.shape, float(scale)) == (np.int8, np.float32, (), 1.0)
    assert dequantize("a", levels, scale).tolist() == [[127.0, -64.0], [0.0, 0.0]]


def test_the_residual_by_hand() -> None:
    _, state = compress("int8", SCHEMA, local([127.0, 0.4, 0.0]), GLOBAL, [])
    kept = dequantize("kernel", *state)
    np.testing.assert_allclose(kept, [[0.0, 0.4, 0.0]], rtol=1e-6)


@pytest.mark.parametrize("dtype", CHANGED)
def test_no_change_gives_exactly_the_global_weights(dtype) -> None:
    weights, state = there_and_back(dtype, SCHEMA, GLOBAL, GLOBAL)
    for array, before in zip(weights, GLOBAL, strict=True):
        np.testing.assert_array_equal(array, before)
        assert array.dtype == np.float32
    assert all(not array.any() for array in state)


@pytest.mark.parametrize("dtype", CHANGED)
@given(
    variance=hnp.arrays(np.float32, 5, elements=st.floats(0, width=32, allow_infinity=False)),
    before=hnp.arrays(np.float32, 5, elements=st.floats(0, width=32, allow_infinity=False)),
)
def test_a_variance_arrives_bit_for_bit(dtype, variance, before) -> None:
    schema = schema_of(["variance"], [variance])
    (back,), state = there_and_back(dtype, schema, [variance], [before])
    assert back.tobytes() == variance.tobytes()
    assert state == []


@given(kernels)
def test_float16_is_off_by_at_most_half_its_last_digit(change) -> None:
    start = np.zeros_like(change)
    schema = schema_of(["kernel"], [change])
    (back,), _ = there_and_back("float16", schema, [change], [start])
    assert (np.abs(back - change) <= np.maximum(np.abs(change) * 2.0**-11, 2.0**-25)).all()


@given(kernels)
def test_int8_is_off_by_at_most_half_a_step_and_remembers_it(change) -> None:
    schema = schema_of(["kernel"], [change])
    (back,), state = there_and_back("int8", schema, [change], [np.zeros_like(change)])
    step = np.abs(change).max() / 127
    tolerance = 1e-6 * np.abs(change).max() + 1e-38
    assert (np.abs(back - change) <= step / 2 + tolerance).all()
    kept = dequantize("kernel", *state)
    assert (np.abs(back + kept - change) <= step / 508 + tolerance).all()


@pytest.mark.parametrize("dtype", CHANGED)
def test_float16_and_int8_never_become_infinite(dtype) -> None:
    weights, _ = there_and_back(dtype, SCHEMA, local([3e38, -3e38, 1.0]), GLOBAL)
    if dtype == "float16":
        assert weights[0].tolist() == [[65505.0, -65506.0, 1.5]]  # the largest change a half can hold
    else:
        np.testing.assert_allclose(weights[0], [[3e38, -3e38, 0.5]], rtol=1e-6)


def sum_of_rounds(change: np.ndarray, rounds: int, *, with_feedback: bool) -> np.ndarray:
    """What has arrived after clients changed zero weights by `change` in every round."""
    schema, start, state = schema_of(["kernel"], [change]), [np.zeros_like(change)], []
    arrived = np.zeros(change.shape)
    for _ in range(rounds):
        (back,), kept = there_and_back("int8", schema, [change], start, state)
        arrived += back
        state = kept if with_feedback else []
    return arrived


def test_error_feedback_loses_nothing_in_the_long_run() -> None:
    change = np.array([[127.0, 0.4, -0.3, 5.2]], np.float32)  # a step is 1: two of these are below half of it
    rounds = 50
    without = np.abs(sum_of_rounds(change, rounds, with_feedback=False) - rounds * change)
    np.testing.assert_allclose(without, [[0.0, 20.0, 15.0, 10.0]], atol=0.01)
    assert np.abs(sum_of_rounds(change, rounds, with_feedback=True) - rounds * change).max() <= 1


@given(hnp.arrays(np.float32, (2, 3), elements=st.floats(-100, 100, width=32)), st.integers(1, 60))
def test_with_error_feedback_all_rounds_are_off_by_less_than_a_step(change, rounds) -> None:
    # The change and half a step more is the most that a round has to send.
    step = np.abs(change).max() / 127 * (1 + 1 / 127)
    arrived = sum_of_rounds(change, rounds, with_feedback=True)
    tolerance = 1e-6 * rounds * np.abs(change).max() + 1e-30
    assert np.abs(arrived - rounds * change).max() <= step * (0.5 + rounds / 508) + tolerance


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, -np.inf, 3e38])
def test_a_hostile_scale_is_refused(bad: float) -> None:
    payload, state = compress("int8", SCHEMA, local([1.0, 2.0, 3.0]), GLOBAL, [])
    payload[1] = state[1] = np.asarray(bad, np.float32)
    with pytest.raises(SchemaError, match="kernel: the scale"):
        decompress("int8", SCHEMA, payload, GLOBAL)
    with pytest.raises(SchemaError, match="kernel: the scale"):
        check_state(state_schema("int8", SCHEMA), state)
    with pytest.raises(SchemaError):
        compress("int8", SCHEMA, local([1.0, 2.0, 3.0]), GLOBAL, state)


def test_a_level_that_is_none_is_refused() -> None:
    payload, state = compress("int8", SCHEMA, local([1.0, 2.0, 3.0]), GLOBAL, [])
    payload[0] = state[0] = np.array([[-128, 0, 1]], np.int8)
    with pytest.raises(SchemaError, match="kernel: a level of -128"):
        decompress("int8", SCHEMA, payload, GLOBAL)
    with pytest.raises(SchemaError, match="kernel: a level of -128"):
        check_state(state_schema("int8", SCHEMA), state)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", CHANGED)
def test_what_is_not_finite_is_neither_sent_nor_taken(dtype, bad: float) -> None:
    with pytest.raises(SchemaError, match="kernel: NaN or infinite"):
        compress(dtype, SCHEMA, local([0.0, bad, 0.0]), GLOBAL, [])
    payload, _ = compress(dtype, SCHEMA, local([0.0, 1.0, 0.0]), GLOBAL, [])
    with pytest.raises(SchemaError, match="variance: NaN or infinite"):
        decompress(dtype, SCHEMA, [*payload[:-1], np.array([bad, 1], np.float32)], GLOBAL)
    if dtype == "float16":
        with pytest.raises(SchemaError, match="kernel: NaN or infinite"):
            decompress(dtype, SCHEMA, [np.full((1, 3), bad, np.float16), payload[1]], GLOBAL)


@pytest.mark.parametrize("dtype", CHANGED)
def test_other_shapes_are_never_broadcast(dtype) -> None:
    with pytest.raises(SchemaError, match="kernel: received"):
        compress(dtype, SCHEMA, [np.zeros((3, 1), np.float32), GLOBAL[1]], GLOBAL, [])
    payload, _ = compress(dtype, SCHEMA, GLOBAL, GLOBAL, [])
    with pytest.raises(SchemaError, match="kernel: received"):
        decompress(dtype, SCHEMA, [payload[0].T, *payload[1:]], GLOBAL)
