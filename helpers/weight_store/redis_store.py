"""The weight store in Redis."""

from collections.abc import Sequence

import redis

from helpers.weight_store.store import StoreError

LIFETIME_S = 24 * 3600
"""Time to live of every blob, seconds: as long as a round may last (the broker's visibility timeout)."""


class RedisStore:
    """Blobs as plain Redis values, each with a time to live.

    Args:
        client: a client that returns bytes (`decode_responses=False`).
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def put(self, key: str, data: bytes) -> None:
        try:
            self._client.set(key, data, ex=LIFETIME_S)
        except redis.RedisError as error:
            raise StoreError(f"{key}: not stored: {error}") from error

    def get(self, key: str, limit: int) -> bytes:
        try:
            size = self._client.strlen(key)
            if size > limit:
                raise StoreError(f"{key}: {size} bytes, at most {limit} expected")
            data = self._client.getex(key, ex=LIFETIME_S)  # in use: live on
        except redis.RedisError as error:
            raise StoreError(f"{key}: not read: {error}") from error
        if data is None:
            raise StoreError(f"{key}: not in the store (its time to live is {LIFETIME_S} s)")
        assert isinstance(data, bytes)  # decode_responses is off
        return data

    def delete(self, keys: Sequence[str]) -> None:
        if not keys:
            return
        try:
            self._client.unlink(*keys)
        except redis.RedisError as error:
            raise StoreError(f"keys not deleted: {error}") from error
