"""Tests that every weight store must pass; each store's tests inherit them and have a fixture `store`."""

import json
from dataclasses import replace

import numpy as np
import pytest

from helpers.federated.messages import Reference
from helpers.federated.weights import schema_of
from helpers.weight_store.store import StoreError, WeightStore, get_arrays, put_arrays

NAMES = ["b/kernel", "a/kernel"]
ARRAYS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1.5, -2.0])]
SCHEMA = schema_of(NAMES, ARRAYS)
MIB = 1 << 20


class StoreContract:
    """Base class of the tests of each store."""

    @pytest.mark.parametrize("size", [1, MIB - 1, MIB, MIB + 1, 3 * MIB + 7])
    def test_bytes_come_back_whole_and_cannot_be_written_to(self, store: WeightStore, size: int) -> None:
        data = np.random.default_rng(size).bytes(size)
        cut = memoryview(data)
        store.put("key", [cut[: size // 3], b"", cut[size // 3 : size // 2], cut[size // 2 :]])
        back = memoryview(store.get("key", size))
        assert back == data
        assert back.readonly
        with pytest.raises(StoreError, match=f"key: more bytes than the {size - 1} expected"):
            store.get("key", size - 1)

    def test_a_later_value_takes_the_place_of_the_earlier(self, store: WeightStore) -> None:
        store.put("key", [b"1" * (2 * MIB)])
        earlier = store.get("key", 2 * MIB)
        store.put("key", [b"2" * 7])
        assert bytes(store.get("key", 2 * MIB)) == b"2" * 7
        assert bytes(earlier) == b"1" * (2 * MIB)  # an open reader keeps the old value

    def test_keys_are_kept_apart_whatever_is_in_them(self, store: WeightStore) -> None:
        keys = ["a", "a:b", "a/b", "../a", "..", ".", "a b", "a%2Fb", "a%3Ab", "ä", "-", "*", "a\\b", "a\0b"]
        for number, key in enumerate(keys):
            store.put(key, [bytes([number])])
        assert [bytes(store.get(key, 1)) for key in keys] == [bytes([number]) for number in range(len(keys))]

    def test_what_is_deleted_is_not_there(self, store: WeightStore) -> None:
        store.put("one", [b"1"])
        store.put("two", [b"2"])
        view = store.get("one", 1)
        store.delete(["one", "never there", "../nor there"])
        store.delete([])
        with pytest.raises(StoreError, match=r"one: not in the store"):
            store.get("one", 1)
        assert bytes(store.get("two", 1)) == b"2"
        assert bytes(view) == b"1"

    def test_a_reference_finds_its_arrays(self, store: WeightStore) -> None:
        reference = put_arrays(store, "key", NAMES, ARRAYS)
        again = Reference.from_message(json.loads(json.dumps(reference.to_message())))
        assert again == reference
        for array, copy in zip(ARRAYS, get_arrays(store, again, SCHEMA), strict=True):
            np.testing.assert_array_equal(array, copy)

    def test_what_a_reference_must_match(self, store: WeightStore) -> None:
        reference = put_arrays(store, "key", NAMES, ARRAYS)
        other = schema_of(NAMES, [ARRAYS[0].astype(np.float16), ARRAYS[1]])
        with pytest.raises(StoreError, match="other names, shapes or dtypes"):
            get_arrays(store, reference, other)
        with pytest.raises(StoreError, match="sha256"):
            get_arrays(store, replace(reference, sha256="0" * 64), SCHEMA)
        with pytest.raises(StoreError, match="announced"):
            get_arrays(store, replace(reference, length=reference.length + 1), SCHEMA)
        with pytest.raises(StoreError, match="more bytes than"):
            get_arrays(store, replace(reference, length=reference.length - 1), SCHEMA)
        with pytest.raises(StoreError, match="more than the model can have"):
            get_arrays(store, replace(reference, length=1 << 40), SCHEMA)
        with pytest.raises(StoreError, match="not in the store"):
            get_arrays(store, replace(reference, key="elsewhere"), SCHEMA)
