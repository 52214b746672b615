"""From the setting WEIGHT_STORE to the store it names."""

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import redis

from helpers.weight_store.file_store import FileStore
from helpers.weight_store.redis_store import RedisStore
from helpers.weight_store.store import WeightStore


def open_store(address: str, client: redis.Redis) -> WeightStore:
    """Open the store at `address`.

    Args:
        address: a valid WEIGHT_STORE: `redis`, or `file:///folder`.
        client: the Redis that is meant by `redis`.

    Raises:
        ConfigError: the folder cannot be made, read or written.
    """
    if address == "redis":
        return RedisStore(client)
    return FileStore(Path(url2pathname(urlsplit(address).path)))
