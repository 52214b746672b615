"""Weight store in Redis."""

import contextlib
import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
import redis
from redis.client import Pipeline

from helpers.weight_store.codec import LIFETIME_S, PIECE_BYTES, Buffers, Digest, StoreAway, StoreError, pieces


class RedisStore:
    """Blobs as Redis hashes of numbered pieces, each hash with a time to live.

    With pieces, Redis and its client work in parallel, other clients do not wait for one huge command,
    and a blob may exceed the 512 MB limit of a plain Redis value.

    Args:
        client: a client that returns bytes (`decode_responses=False`).
        may_renew: whether reading a blob renews its time to live; a user who may only read it cannot.
    """

    def __init__(self, client: redis.Redis, *, may_renew: bool = True) -> None:
        self._client = client
        self._may_renew = may_renew

    def put(self, key: str, data: Buffers) -> None:
        unfinished = f"{key}:unfinished:{secrets.token_hex(8)}"
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                for number, piece in enumerate(pieces(data)):
                    value = piece[0] if len(piece) == 1 else b"".join(piece)
                    pipeline.hset(unfinished, str(number), value)
                    if number == 0:
                        pipeline.expire(unfinished, LIFETIME_S)
                _answers(pipeline)
            self._client.rename(unfinished, key)  # complete and visible from here on
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
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise StoreAway(f"{key}: not read: {error}") from error
        except redis.RedisError as error:
            raise StoreError(f"{key}: not read: {error}") from error
        return whole.toreadonly()

    def _lengths(self, key: str, limit: int) -> list[int]:
        """Return the length of every piece, at most `limit` in total; renew the key's time to live."""
        most = -(-limit // PIECE_BYTES)
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.hlen(key)
            for number in range(most):
                pipeline.hstrlen(key, str(number))
            pipeline.expire(key, LIFETIME_S) if self._may_renew else pipeline.exists(key)
            count, *lengths, _ = _answers(pipeline)
        if count == 0:
            raise StoreError(
                f"{key}: not in the store (kept for {LIFETIME_S} s after the last use; all workers of a "
                "run need the same WEIGHT_STORE)"
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

    def delete_others(self, prefix: str, own: str) -> None:
        """Do nothing: the orchestrator has deleted them when it took the run over."""


def _answers(pipeline: Pipeline) -> list[Any]:
    """Return Redis' answers, or raise the first error: redis-py's own exception would quote the weights."""
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, redis.RedisError):
            raise answer
    return answers
