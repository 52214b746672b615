"""A client of the floor, in a separate process; see `floor.py`."""

from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

from benchmarks.floor import slots_of
from benchmarks.plain_keras import PlainKeras


class FloorClient:
    """A client. Slot 0 of the shared memory holds the global weights, slot `number` those of the client.

    Args:
        memory: name of the shared memory.
        number: of the client, from 1.
        count: number of clients.
        *plain: arguments of PlainKeras.
    """

    def __init__(self, memory: str, number: int, count: int, *plain: Any) -> None:
        self._keras = PlainKeras(*plain)
        self._memory = SharedMemory(memory)
        self._slots = slots_of(self._memory, count)
        self._number = number

    def write_initial(self) -> int:
        """Write new weights to slot 0 and return their size."""
        return self._write(0)

    def train(self) -> int:
        """Fit from slot 0, predict the validation images, write weights; return the number of images."""
        self._read()
        self._keras.fit()
        self._keras.predict()
        self._write(self._number)
        return len(self._keras.labels)

    def evaluate(self) -> dict[str, float]:
        """Return loss and accuracy of the weights in slot 0 on the validation images."""
        self._read()
        scores = np.clip(self._keras.predict(), 1e-7, 1 - 1e-7)
        labels = self._keras.val_labels.reshape(-1)
        loss = -np.mean(labels * np.log(scores) + (1 - labels) * np.log(1 - scores))
        return {"loss": float(loss), "accuracy": float(np.mean((scores > 0.5) == (labels > 0.5)))}

    def _read(self) -> None:
        start, arrays = 0, []
        for variable in self._keras.model.weights:
            size = int(np.prod(variable.shape))
            arrays.append(self._slots[0, start : start + size].reshape(variable.shape))
            start += size
        self._keras.model.set_weights(arrays)

    def _write(self, slot: int) -> int:
        start = 0
        for array in self._keras.model.get_weights():
            self._slots[slot, start : start + array.size] = array.reshape(-1)
            start += array.size
        return start
