"""The stores in memory, and the setting that chooses a store."""

from pathlib import Path

import pytest

from helpers.cluster.connection import connect
from helpers.weight_store.file_store import FileStore
from helpers.weight_store.redis_store import RedisStore
from helpers.weight_store.store import MemoryStore, WeightStore, open_store
from tests.weight_store_contract import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> WeightStore:
        return MemoryStore()


def test_the_setting_names_the_store(tmp_path: Path) -> None:
    client = connect("redis://127.0.0.1:1/0")
    assert isinstance(open_store("redis", client), RedisStore)
    folder = tmp_path / "a folder"
    store = open_store(folder.as_uri(), client)
    assert isinstance(store, FileStore)
    store.put("key", [b"1"])
    assert [file.name for file in folder.iterdir()] == ["key.weights"]
