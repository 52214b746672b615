"""What a client takes from the weight store in a round and puts there, and what that costs."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.federated.compression import compress, payload_schema, state_schema
from helpers.federated.messages import Reference, TrainOrder
from helpers.federated.weights import Schema, Weights
from helpers.weight_store.store import get_arrays, put_arrays
from tasks.run_context import RunContext


class ClientExchange:
    """One client's reading and writing in one round.

    Args:
        context: of the training.
        order: what is trained.
    """

    def __init__(self, context: RunContext, order: TrainOrder) -> None:
        self._context = context
        self._order = order
        self._dtype = context.config.UPDATE_DTYPE
        self._state_schema = state_schema(self._dtype, context.instance.schema)
        self._weights: Weights = []
        self._state: Weights = []
        self._bytes_down = self._state_bytes = 0
        self._seconds = 0.0

    def fetch(self) -> Weights:
        """Read the global weights, which are returned, and what the client remembers.

        Raises:
            StoreError: one of them is not there or not as announced.
            MessageError: a reference is none.
        """
        began = time.monotonic()
        reference = Reference.from_message(self._order.weights)
        self._weights = get_arrays(self._context.store, reference, self._context.instance.schema)
        self._bytes_down = reference.length
        short = self._order.states.get(str(self._order.client))
        if self._state_schema and short is not None:
            reference = Reference.from_short(short, self._state_schema)
            self._state = get_arrays(self._context.store, reference, self._state_schema)
            self._state_bytes = reference.length
        self._seconds = time.monotonic() - began
        return self._weights

    def deliver(self, local: Weights, scores: NDArray[np.float32] | None = None) -> dict[str, Any]:
        """Write the update, any validation scores, and what the client remembers from now on.

        Args:
            local: weights after the training.
            scores: float32 (N,), of the validation images; None where they are not sent.

        Returns:
            The fields of ClientReply that tell of all this.

        Raises:
            StoreError: the store is out of reach.
            SchemaError: the weights are not finite and cannot be compressed.
        """
        schema = self._context.instance.schema
        payload, state = compress(self._dtype, schema, local, self._weights, self._state)
        began = time.monotonic()
        update = self._put("update", payload_schema(self._dtype, schema), payload)
        predictions = None
        if scores is not None:
            key = self._key("scores")
            predictions = put_arrays(self._context.store, key, ["scores"], [scores]).to_message()
        kept = self._put("state", self._state_schema, state) if self._state_schema else None
        return {
            "update": update.to_message(),
            "predictions": predictions,
            "state": kept.to_short() if kept else None,
            "bytes_down": self._bytes_down,
            "bytes_up": update.length,
            "state_bytes": self._state_bytes + (kept.length if kept else 0),
            "transfer_seconds": self._seconds + time.monotonic() - began,
        }

    def _put(self, kind: str, schema: Schema, arrays: Weights) -> Reference:
        return put_arrays(self._context.store, self._key(kind), [spec.name for spec in schema], arrays)

    def _key(self, kind: str) -> str:
        return self._context.key(kind, self._order.round, self._order.client, self._order.attempt)
