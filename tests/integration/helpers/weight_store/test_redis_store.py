"""Weight store in a real Redis: the contract of all stores, pieces, times to live, a full server."""

from collections.abc import Iterator

import pytest
import redis

from helpers.cluster.connection import connect
from helpers.launcher.embedded_redis import find_binary, start_server
from helpers.weight_store.codec import LIFETIME_S, PIECE_BYTES
from helpers.weight_store.redis_store import RedisStore
from helpers.weight_store.store import StoreAway, StoreError, WeightStore
from tests.weight_store_contract import StoreContract


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with start_server(find_binary(), tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture
def client(server_url: str) -> redis.Redis:
    client = connect(server_url)
    client.flushall()
    return client


@pytest.fixture
def store(client: redis.Redis) -> WeightStore:
    return RedisStore(client)


class TestRedisStore(StoreContract):
    def test_a_long_value_is_one_key_of_short_pieces(self, store: WeightStore, client: redis.Redis) -> None:
        store.put("key", [b"x" * (2 * PIECE_BYTES + 5)])
        assert client.keys() == [b"key"]
        lengths = {name: len(piece) for name, piece in client.hgetall("key").items()}
        assert lengths == {b"0": PIECE_BYTES, b"1": PIECE_BYTES, b"2": 5}

    def test_lives_a_day_from_its_last_use(self, store: WeightStore, client: redis.Redis) -> None:
        store.put("key", [b"1"])
        assert LIFETIME_S - 60 < client.ttl("key") <= LIFETIME_S
        client.expire("key", 100)
        store.get("key", 1)
        assert LIFETIME_S - 60 < client.ttl("key") <= LIFETIME_S

    def test_a_full_server_keeps_the_earlier_value_whole(
        self, store: WeightStore, client: redis.Redis
    ) -> None:
        store.put("key", [b"1"])
        client.config_set("maxmemory", int(client.info("memory")["used_memory"]) + 3 * PIECE_BYTES)
        try:
            with pytest.raises(StoreError, match="key: not stored: command not allowed"):
                store.put("key", [b"2" * (20 * PIECE_BYTES)])
        finally:
            client.config_set("maxmemory", 0)
        assert client.keys() == [b"key"]
        assert bytes(store.get("key", 1)) == b"1"

    def test_what_a_killed_writer_leaves_has_no_name_and_ends(
        self, store: WeightStore, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("rename", "unlink"):
            monkeypatch.setattr(redis.Redis, name, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.put("key", [b"1"])
        (left,) = client.keys()
        assert left.startswith(b"key:unfinished:")
        assert 0 < client.ttl(left) <= LIFETIME_S

    def test_pieces_that_are_not_as_they_should_be(self, store: WeightStore, client: redis.Redis) -> None:
        size = 2 * PIECE_BYTES
        cases = [
            (lambda: client.hdel("key", "0"), "key: was replaced or deleted while it was read"),
            (lambda: client.hset("key", "1", b"x" * (PIECE_BYTES + 1)), "key: more bytes than"),
            (lambda: client.hset("key", "2", b"x"), "key: more bytes than"),
            (lambda: client.set("key", b"x"), "key: not read: WRONGTYPE"),
            (lambda: client.delete("key"), "key: not in the store .*all workers of a run need the same"),
        ]
        for spoil, reason in cases:
            client.delete("key")
            store.put("key", [b"1" * size])
            spoil()
            with pytest.raises(StoreError, match=reason):
                store.get("key", size)

    def test_a_redis_that_is_away(self) -> None:
        away = RedisStore(connect("redis://127.0.0.1:1/0"))
        with pytest.raises(StoreError, match="key: not stored: "):
            away.put("key", [b"1"])
        with pytest.raises(StoreAway, match="key: not read: "):  # other than a key that is not there
            away.get("key", 1)
        with pytest.raises(StoreError, match="keys not deleted: "):
            away.delete(["key"])
