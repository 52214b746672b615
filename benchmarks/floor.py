"""The floor: the least work of a round. Warm plain Keras processes share memory."""

import time
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.processes import cpu_seconds
from benchmarks.remote_object import RemoteObject, ask_all
from benchmarks.watching import Readings
from helpers.global_config import Config
from preprocessing.feed.partitions import iid_partition

SLOT = 4_000_000
"""Room for a model, in float32 numbers. Untouched memory costs nothing."""

CLIENT = "benchmarks.floor_client.FloorClient"


def slots_of(memory: SharedMemory, count: int) -> NDArray[np.float32]:
    """Return the shared memory as float32 (count + 1, SLOT)."""
    return np.ndarray((count + 1, SLOT), np.float32, memory.buf)


class Floor:
    """The clients' processes, kept between rounds. A context manager that ends them.

    Args:
        folder: prepared arrays.
        count: number of clients, one process each.
        batch_size, threads: see PlainKeras.
        is_tuned: see RemoteObject.
    """

    def __init__(
        self, folder: Path, count: int, batch_size: int, threads: int, *, is_tuned: bool = True
    ) -> None:
        self._memory = SharedMemory(create=True, size=(count + 1) * SLOT * 4)
        self._slots = slots_of(self._memory, count)
        shares = iid_partition(len(np.load(folder / "y_train.npy")), count, Config.SEED)
        self._clients = [
            RemoteObject(
                CLIENT, self._memory.name, number, count, folder, rows, batch_size, threads, is_tuned=is_tuned
            )
            for number, rows in enumerate(shares, 1)
        ]  # fmt: skip
        self._size = self._clients[0].ask("write_initial")

    @property
    def pids(self) -> list[int]:
        return [client.pid for client in self._clients]

    def round(self) -> Readings:
        """Train, average and evaluate; return `seconds` and processor seconds `cpu`."""
        began, cpu, own = time.perf_counter(), cpu_seconds(self.pids), time.process_time()
        counts = ask_all(self._clients, "train")
        mean = np.zeros(self._size, np.float32)
        for number, count in enumerate(counts, 1):
            mean += self._slots[number, : self._size] * np.float32(count / sum(counts))
        self._slots[0, : self._size] = mean
        self._clients[0].ask("evaluate")
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "cpu": cpu_seconds(self.pids) - cpu + time.process_time() - own}

    def close(self) -> None:
        """End the processes and free the memory."""
        for client in self._clients:
            client.close()
        del self._slots
        self._memory.close()
        self._memory.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
