"""Averaging many clients' updates, in a process of its own so that its memory can be told."""

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
    """Where the bytes of an update lie as one plain value, whatever the store does with them."""
    return f"bare-{reference.key}"


class Aggregating:
    """Reads updates from Redis, one after the other, and averages them.

    Args:
        redis_url: where they are.
        references: of a few updates; more clients than these use them again. The bytes of each lie under
            `bare_key` as well.
        tiny: of an update that takes no memory: with it all is done once, so that only data counts later.
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
        """As the aggregation task does: fetched, verified, checked, averaged by weight in float64."""
        return self._measured(lambda: self._average(count))

    def bare(self, count: int) -> dict[str, float]:
        """The bytes read and added in float32."""
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
        """`seconds`, and the memory it took at most beyond what was there before, in models, `peak`."""
        forget_peak()
        before, began = resident_bytes(), time.perf_counter()
        work()
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "peak": (peak_bytes() - before) / self._model}
