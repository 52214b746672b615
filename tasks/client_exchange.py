"""A client's reads and writes of the weight store in one round, with byte counts."""

import time
from typing import Any

from helpers.federated.messages import Reference, TrainOrder
from helpers.federated.weights import Schema, Weights
from helpers.weight_store.store import get_arrays, put_arrays
from tasks.run_context import RunContext


class ClientExchange:
    """Exchange of a client that reads the global weights, sends its weights and remembers nothing.

    Args:
        context: of the training.
        order: the client and round.
    """

    def __init__(self, context: RunContext, order: TrainOrder) -> None:
        self.context = context
        self.order = order
        self.bytes_down = 0
        self._seconds = 0.0

    def fetch(self) -> Weights:
        """Return the weights to start from.

        Raises:
            StoreError: they are missing or not as announced.
            MessageError: the order has no valid reference.
        """
        began = time.monotonic()
        reference = Reference.from_message(self.order.weights)
        weights = get_arrays(self.context.store, reference, self.context.instance.schema)
        self.bytes_down += reference.length
        self._seconds += time.monotonic() - began
        return weights

    def additions(self) -> dict[str, Any]:
        """Return arguments of `train_locally`: what the strategy adds, and what is kept of the optimizer."""
        return {}

    def deliver(self, local: Weights, num_steps: int) -> dict[str, Any]:
        """Write the update and return the fields of ClientReply about it.

        Args:
            local: weights after the training.
            num_steps: training steps made.

        Raises:
            StoreError: the store cannot be reached.
        """
        began = time.monotonic()
        update = self.put("update", self.context.instance.schema, local)
        return {
            "update": update.to_message(),
            "bytes_down": self.bytes_down,
            "bytes_up": update.length,
            "transfer_seconds": self._seconds + time.monotonic() - began,
        }

    def put(self, kind: str, schema: Schema, arrays: Weights) -> Reference:
        """Write arrays under a key of this client, round and attempt."""
        order = self.order
        key = self.context.key(kind, order.round, order.client, order.attempt)
        return put_arrays(self.context.store, key, [spec.name for spec in schema], arrays)
