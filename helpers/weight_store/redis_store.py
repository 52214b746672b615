"""The weight store in Redis."""

import contextlib
import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
import redis
from redis.client import Pipeline

from helpers.weight_store.digest import Digest
from helpers.weight_store.pieces import PIECE_BYTES, Buffers, pieces
from helpers.weight_store.store import LIFETIME_S, StoreError


class RedisStore:
    """Blobs as Redis hashes of numbered pieces, each hash with a time to live.

    In pieces, because then Redis and its client work side by side, nobody else waits for one huge
    command, and a blob may be longer than the 512 MB at which a plain value of Redis ends.

    Args:
        client: a client that returns bytes (`decode_responses=False`).
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def put(self, key: str, data: Buffers) -> None:
        unfinished = f"dt:unfinished:{secrets.token_hex(8)}"
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                for number, piece in enumerate(pieces(data)):
                    value = piece[0] if len(piece) == 1 else b"".join(piece)
                    pipeline.hset(unfinished, str(number), value)
                    if number == 0:
                        pipeline.expire(unfinished, LIFETIME_S)
                _answers(pipeline)
            self._client.rename(unfinished, key)  # whole from now on
        except redis.RedisError as error:
            with contextlib.suppress(redis.RedisError):
                self._client.unlink(unfinished)
            raise StoreError(f"{key}: not stored: {error}") from error

    def get(self, key: str, limit: int, digest: Digest | None = None) -> memoryview:
        try:
            lengths = self._lengths(key, limit)
            whole = np.empty(sum(lengths), np.uint8).data
            end = 0
            for number, length in enumerate(lengths):
                piece = self._client.hget(key, str(number))
                if not isinstance(piece, bytes) or len(piece) != length:
                    raise StoreError(f"{key}: was replaced or deleted while it was read")
                whole[end : end + length] = piece
                if digest is not None:
                    digest.add([whole[end : end + length]])
                end += length
        except redis.RedisError as error:
            raise StoreError(f"{key}: not read: {error}") from error
        return whole.toreadonly()

    def _lengths(self, key: str, limit: int) -> list[int]:
        """Bytes of every piece, at most `limit` together; the key lives on, as it is in use."""
        most = -(-limit // PIECE_BYTES)
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.hlen(key)
            for number in range(most):
                pipeline.hstrlen(key, str(number))
            pipeline.expire(key, LIFETIME_S)
            count, *lengths, _ = _answers(pipeline)
        if count == 0:
            raise StoreError(
                f"{key}: not in the store (in Redis for {LIFETIME_S} s after the last use; every worker of a "
                "run needs the same WEIGHT_STORE)"
            )
        if count > most or sum(lengths) > limit:
            raise StoreError(f"{key}: more bytes than the {limit} expected")
        return lengths[:count]

    def delete(self, keys: Sequence[str]) -> None:
        if not keys:
            return
        try:
            self._client.unlink(*keys)
        except redis.RedisError as error:
            raise StoreError(f"keys not deleted: {error}") from error


def _answers(pipeline: Pipeline) -> list[Any]:
    """Send the commands and return what Redis says to each.

    Raises:
        redis.RedisError: the first error among them; redis-py's own would quote the weights.
    """
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, redis.RedisError):
            raise answer
    return answers
