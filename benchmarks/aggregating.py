"""The average of many clients' updates, in a separate process so that its memory can be measured."""

import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.processes import forget_peak, peak_bytes, resident_bytes
from helpers.cluster.connection import connect
from helpers.federated.aggregation import weighted_mean
from helpers.federated.messages import Reference
from helpers.federated.weights import Weights, check_weights, num_bytes
from helpers.weight_store.redis_store import RedisStore
from helpers.weight_store.store import get_arrays


def bare_key(reference: Reference) -> str:
    """Return the key under which the bytes of an update are stored as one plain value."""
    return f"bare-{reference.key}"


class Aggregating:
    """An average of updates, read from Redis one after the other.

    Args:
        redis_url: of the server that holds them.
        references: of a few updates, which are reused for further clients. The bytes of each are also
            stored under `bare_key`.
        tiny: of a very small update for a first run, so that later runs measure only memory for data.
    """

    def __init__(self, redis_url: str, references: list[Reference], tiny: Reference) -> None:
        self._client = connect(redis_url)
        self._take([tiny])
        self._average(2)
        self._add(2)
        self._take(references)

    def _take(self, references: list[Reference]) -> None:
        self._references = references
        self._model = num_bytes(references[0].schema)

    def ours(self, count: int) -> dict[str, float]:
        """Fetch, verify, check and average as the aggregation task does."""
        return self._measured(lambda: self._average(count))

    def bare(self, count: int) -> dict[str, float]:
        """Read the bytes and add them in float32."""
        return self._measured(lambda: self._add(count))

    def _average(self, count: int) -> None:
        store = RedisStore(self._client)

        def updates() -> Iterator[tuple[Weights, float]]:
            for number in range(count):
                reference = self._references[number % len(self._references)]
                weights = get_arrays(store, reference, reference.schema)
                check_weights(weights, reference.schema)
                yield weights, 1.0
                del weights

        weighted_mean(updates())

    def _add(self, count: int) -> None:
        total: NDArray[np.float32] = np.zeros(self._model // 4, np.float32)
        for number in range(count):
            data = self._client.get(bare_key(self._references[number % len(self._references)]))
            assert isinstance(data, bytes)  # decode_responses is off
            total += np.frombuffer(data, np.float32)
            del data
        total /= count

    def _measured(self, work: Callable[[], None]) -> dict[str, float]:
        """Return the `seconds` of some work and its `peak` memory above the start, in models."""
        forget_peak()
        before, began = resident_bytes(), time.perf_counter()
        work()
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "peak": (peak_bytes() - before) / self._model}
