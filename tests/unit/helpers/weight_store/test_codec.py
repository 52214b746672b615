"""Arrays to bytes and back, and what a reader refuses."""

import hashlib
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from helpers.federated.weights import schema_of
from helpers.weight_store.codec import (
    HEADER_LIMIT,
    PIECE_BYTES,
    CodecError,
    Digest,
    decode,
    encode,
    pieces,
    start_digest,
)
from tests.weight_store_contract import ARRAYS, NAMES, SCHEMA

array_lists = st.lists(
    hnp.arrays(
        st.sampled_from(["f4", "f8", "f2", "i8", "i4", "i1", "u1"]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        elements=st.integers(0, 100),
    ),
    min_size=1,
    max_size=5,
)


@given(array_lists)
def test_every_array_comes_back(arrays: list[np.ndarray]) -> None:
    names = [f"layer_{index}" for index in range(len(arrays))]
    back = decode(b"".join(encode(names, arrays)), schema_of(names, arrays))
    for array, copy in zip(arrays, back, strict=True):
        np.testing.assert_array_equal(array, copy)
        assert array.dtype == copy.dtype


def test_an_array_that_is_not_contiguous_comes_back() -> None:
    (kernel,) = decode(b"".join(encode(["k"], [ARRAYS[0].T])), schema_of(["k"], [ARRAYS[0].T]))
    np.testing.assert_array_equal(kernel, ARRAYS[0].T)


def test_a_dtype_that_cannot_be_read_back_is_refused() -> None:
    with pytest.raises(CodecError, match=r"arrays of >f4, complex64 cannot be stored, only int64, float64"):
        encode(["a", "b"], [np.zeros(1, np.complex64), np.zeros(1, ">f4")])


def test_order_is_the_schemas_not_the_files() -> None:
    first, second = decode(b"".join(encode(NAMES, ARRAYS)), SCHEMA)
    np.testing.assert_array_equal(first, ARRAYS[0])
    np.testing.assert_array_equal(second, ARRAYS[1])


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_cleanly(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(data, SCHEMA)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_never_does_more_than_change_a_number(place: int, value: int) -> None:
    data = bytearray(b"".join(encode(NAMES, ARRAYS)))
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
        with_header(
            {
                "__metadata__": {"long": "x" * HEADER_LIMIT},
                "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            },
            b"1234",
        ),
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


@given(st.lists(st.binary(max_size=9), max_size=6), st.integers(1, 10))
def test_pieces_are_of_one_size_and_lose_nothing(buffers: list[bytes], size: int) -> None:
    cut = [b"".join(piece) for piece in pieces(buffers, size)]
    assert b"".join(cut) == b"".join(buffers)
    assert all(len(piece) == size for piece in cut[:-1])
    assert all(0 < len(piece) <= size for piece in cut[-1:])


@given(st.lists(st.binary(max_size=9), max_size=6))
def test_the_digest_is_of_the_bytes_however_they_are_cut(buffers: list[bytes]) -> None:
    whole = b"".join(buffers)
    expected = hashlib.sha256(hashlib.sha256(whole).digest() if whole else b"").hexdigest()
    assert start_digest(buffers).hexdigest() == expected


def test_the_digest_of_a_long_blob_is_that_of_the_digests_of_its_pieces_in_order() -> None:
    whole = np.random.default_rng(0).bytes(2 * PIECE_BYTES + 5)
    parts = [whole[:PIECE_BYTES], whole[PIECE_BYTES : 2 * PIECE_BYTES], whole[2 * PIECE_BYTES :]]
    expected = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
    assert start_digest([whole[:7], whole[7:]]).hexdigest() == expected
    in_parts = Digest()
    for part in parts:
        in_parts.add([part])
    assert in_parts.hexdigest() == expected
