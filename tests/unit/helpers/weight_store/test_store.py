"""Codec, digests, and the weight stores in memory and in a folder."""

import hashlib
import json
import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save

from helpers.cluster.connection import connect
from helpers.federated.weights import SchemaError, check_weights, schema_of
from helpers.settings.errors import ConfigError
from helpers.weight_store.codec import (
    HEADER_LIMIT,
    LIFETIME_S,
    PIECE_BYTES,
    CodecError,
    Digest,
    decode,
    encode,
    pieces,
    start_digest,
)
from helpers.weight_store.file_store import FileStore
from helpers.weight_store.redis_store import RedisStore
from helpers.weight_store.store import MemoryStore, StoreError, WeightStore, open_store
from tests.weight_store_contract import ARRAYS, NAMES, SCHEMA, StoreContract

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


names_of_arrays = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6), min_size=5, max_size=5, unique=True
)


@given(array_lists, names_of_arrays)
def test_the_bytes_are_those_of_safetensors_own_writer(arrays: list[np.ndarray], names: list[str]) -> None:
    names = names[: len(arrays)]
    assert b"".join(encode(names, arrays)) == save(dict(zip(names, arrays, strict=True)))


def test_arrays_are_not_copied_to_be_encoded() -> None:
    buffers = encode(NAMES, ARRAYS)
    assert all(any(np.shares_memory(buffer, array) for buffer in buffers[1:]) for array in ARRAYS)
    (kernel,) = decode(b"".join(encode(["k"], [ARRAYS[0].T])), schema_of(["k"], [ARRAYS[0].T]))
    np.testing.assert_array_equal(kernel, ARRAYS[0].T)  # a non-contiguous one is copied


def test_a_dtype_that_cannot_be_read_back_is_refused() -> None:
    with pytest.raises(CodecError, match=r"arrays of >f4, complex64 cannot be stored, only int64, float64"):
        encode(["a", "b"], [np.zeros(1, np.complex64), np.zeros(1, ">f4")])


@given(st.lists(st.binary(max_size=9), max_size=6), st.integers(1, 10))
def test_pieces_are_of_one_size_and_lose_nothing(buffers: list[bytes], size: int) -> None:
    cut = [b"".join(piece) for piece in pieces(buffers, size)]
    assert b"".join(cut) == b"".join(buffers)
    assert all(len(piece) == size for piece in cut[:-1])
    assert all(0 < len(piece) <= size for piece in cut[-1:])


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


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> WeightStore:
        return MemoryStore()


class TestFileStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> WeightStore:
        return FileStore(tmp_path / "weights")

    @settings(max_examples=30)
    @given(key=st.text(min_size=1, max_size=40))
    def test_no_key_leads_out_of_the_folder(self, tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
        folder = tmp_path_factory.mktemp("around")
        store = FileStore(folder / "weights")
        store.put(key, [b"1"])
        (file,) = (path for path in folder.rglob("*") if path.is_file())
        assert file.parent == folder / "weights"
        assert bytes(store.get(key, 1)) == b"1"
        store.delete([key])
        assert not list((folder / "weights").iterdir())

    def test_a_key_too_long_for_a_file_is_refused(self, store: WeightStore) -> None:
        with pytest.raises(StoreError, match=r"not stored in .*File name too long; fix that, or start"):
            store.put("k" * 300, [b"1"])
        with pytest.raises(StoreError, match="not read from"):
            store.get("k" * 300, 1)

    def test_another_process_finds_what_one_stored(self, store: WeightStore, tmp_path: Path) -> None:
        store.put("key", [b"1"])
        assert bytes(FileStore(tmp_path / "weights").get("key", 1)) == b"1"
        with pytest.raises(
            StoreError, match=r"not in the store .*other .*all workers .* the same WEIGHT_STORE"
        ):
            FileStore(tmp_path / "other").get("key", 1)

    def test_belongs_to_its_owner_alone(self, store: WeightStore, tmp_path: Path) -> None:
        store.put("key", [b"1"])
        modes = [path.stat().st_mode & 0o777 for path in sorted(tmp_path.rglob("*"))]
        assert modes == [0o700, 0o600]

    def test_a_full_disk_leaves_nothing_behind(self, store: WeightStore, tmp_path: Path) -> None:
        store.put("key", [b"1"])

        def data():
            yield b"2" * 100_000
            raise OSError(28, "No space left on device")

        with pytest.raises(
            StoreError, match=f"key: not stored in {tmp_path}/weights: No space left .*DT_WEIGHT_STORE=redis"
        ):
            store.put("key", data())  # type: ignore[arg-type]
        assert bytes(store.get("key", 1)) == b"1"
        assert len(list((tmp_path / "weights").iterdir())) == 1

    def test_what_was_long_not_used_goes_when_a_worker_starts(
        self, store: WeightStore, tmp_path: Path
    ) -> None:
        folder = tmp_path / "weights"
        for key in ("old", "read again", "new"):
            store.put(key, [b"1"])
        (folder / "of_a_killed_worker.unfinished").touch()
        (folder / "notes.txt").touch()
        for file in folder.iterdir():
            os.utime(file, times=(time.time() - LIFETIME_S - 60,) * 2)
        store.put("new", [b"2"])
        store.get("read again", 1)
        FileStore(folder)
        names = {file.name for file in folder.iterdir()}
        assert names == {"read%20again.weights", "new.weights", "notes.txt"}  # the user's file stays

    def test_a_folder_that_cannot_be_created_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(
            ConfigError, match=r"WEIGHT_STORE: the folder .*file/x cannot be used \(Not a directory"
        ):
            FileStore(tmp_path / "file" / "x")

    @pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that is always read-only")
    def test_a_folder_that_cannot_be_written_is_an_error(self) -> None:
        with pytest.raises(ConfigError, match="WEIGHT_STORE: the folder /proc cannot be used"):
            FileStore(Path("/proc"))


def test_the_setting_names_the_store(tmp_path: Path) -> None:
    client = connect("redis://127.0.0.1:1/0")
    assert isinstance(open_store("redis", client), RedisStore)
    folder = tmp_path / "a folder"
    store = open_store(folder.as_uri(), client)
    assert isinstance(store, FileStore)
    store.put("key", [b"1"])
    assert [file.name for file in folder.iterdir()] == ["key.weights"]


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
