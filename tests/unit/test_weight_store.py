"""Arrays to bytes and back, and what a reader refuses."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load

from helpers.federated.messages import Reference
from helpers.federated.weights import SchemaError, check_weights, schema_of
from helpers.weight_store.codec import HEADER_LIMIT, CodecError, decode, encode
from helpers.weight_store.store import MemoryStore, StoreError, get_arrays, put_arrays

NAMES = ["b/kernel", "a/kernel"]
ARRAYS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1.5, -2.0])]
SCHEMA = schema_of(NAMES, ARRAYS)

array_lists = st.lists(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.float16, np.int32, np.uint8]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        elements=st.integers(0, 100),
    ),
    min_size=1,
    max_size=5,
)


@given(array_lists)
def test_every_array_comes_back(arrays: list[np.ndarray]) -> None:
    names = [f"layer_{index}" for index in range(len(arrays))]
    data = encode(names, arrays)
    back = decode(data, schema_of(names, arrays))
    for array, copy in zip(arrays, back, strict=True):
        np.testing.assert_array_equal(array, copy)
        assert array.dtype == copy.dtype
    assert set(load(data)) == set(names)  # the format is safetensors'


def test_order_is_the_schemas_not_the_files() -> None:
    first, second = decode(encode(NAMES, ARRAYS), SCHEMA)
    np.testing.assert_array_equal(first, ARRAYS[0])
    np.testing.assert_array_equal(second, ARRAYS[1])


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_cleanly(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(data, SCHEMA)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_never_does_more_than_change_a_number(place: int, value: int) -> None:
    data = bytearray(encode(NAMES, ARRAYS))
    data[place % len(data)] = value
    try:
        arrays = decode(bytes(data), SCHEMA)
    except CodecError:
        return
    assert schema_of(NAMES, arrays) == SCHEMA


def with_header(header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        struct.pack("<Q", 1 << 60),
        struct.pack("<Q", HEADER_LIMIT + 1) + b" " * (HEADER_LIMIT + 1),
        with_header([]),
        with_header({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4 << 40]}}),
        with_header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}, b"1234"),
        with_header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"12345"),
        with_header({"a": {"dtype": "F32", "shape": [float("inf")], "data_offsets": [0, 4]}}, b"1234"),
        with_header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, float("nan")]}}, b"1234"),
        with_header({"x" * 100_000: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
        with_header({"a": {"dtype": "PICKLE", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
        struct.pack("<Q", 200_000) + b"[" * 200_000,
    ],
)
def test_hostile_headers_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError) as caught:
        decode(data, schema_of(["a"], [np.zeros(1, np.float32)]))
    assert len(str(caught.value)) <= 500


def test_names_must_be_unique() -> None:
    with pytest.raises(CodecError, match="unique"):
        encode(["a", "a"], ARRAYS)


def test_a_reference_finds_its_arrays() -> None:
    store = MemoryStore()
    reference = put_arrays(store, "key", NAMES, ARRAYS)
    again = Reference.from_message(json.loads(json.dumps(reference.to_message())))
    assert again == reference
    np.testing.assert_array_equal(get_arrays(store, again, SCHEMA)[0], ARRAYS[0])


def test_what_a_reference_must_match() -> None:
    store = MemoryStore()
    reference = put_arrays(store, "key", NAMES, ARRAYS)
    other = schema_of(NAMES, [ARRAYS[0].astype(np.float16), ARRAYS[1]])
    with pytest.raises(StoreError, match="other names, shapes or dtypes"):
        get_arrays(store, reference, other)
    with pytest.raises(StoreError, match="sha256"):
        get_arrays(store, replace(reference, sha256="0" * 64), SCHEMA)
    with pytest.raises(StoreError, match="announced"):
        get_arrays(store, replace(reference, length=reference.length + 1), SCHEMA)
    with pytest.raises(StoreError, match="at most"):
        get_arrays(store, replace(reference, length=reference.length - 1), SCHEMA)
    with pytest.raises(StoreError, match="more than the model can have"):
        get_arrays(store, replace(reference, length=1 << 40), SCHEMA)
    with pytest.raises(StoreError, match="not in the store"):
        get_arrays(store, replace(reference, key="elsewhere"), SCHEMA)
    store.delete(["key", "never there"])
    with pytest.raises(StoreError, match="not in the store"):
        get_arrays(store, reference, SCHEMA)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_must_be_finite(bad: float) -> None:
    spoiled = [ARRAYS[0].copy(), ARRAYS[1]]
    spoiled[0][1, 2] = bad
    check_weights(ARRAYS, SCHEMA)
    with pytest.raises(SchemaError, match=r"b/kernel: NaN or infinite"):
        check_weights(spoiled, SCHEMA)


def test_weights_must_fit() -> None:
    with pytest.raises(SchemaError, match="1 arrays received, the model has 2"):
        check_weights(ARRAYS[:1], SCHEMA)
    with pytest.raises(SchemaError, match=r"a/kernel: received float64\(3,\), expected float64\(2,\)"):
        check_weights([ARRAYS[0], np.zeros(3)], SCHEMA)
