"""What a client takes from the weight store in a round and puts there, and what that costs."""

import time
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.federated import compression
from helpers.federated.client_state import ClientState
from helpers.federated.messages import SERVER, Reference, TrainOrder
from helpers.federated.strategies import scaffold
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
        self._plan = context.memory
        self._global: Weights = []
        self._memory = ClientState()
        self._server_control: Weights = []
        self._bytes_down = self._state_bytes = 0
        self._seconds = 0.0

    def fetch(self) -> Weights:
        """Read the global weights, what the client remembers and what the server tells all.

        Returns:
            The weights to begin with: the global ones but for those that the client keeps for itself.

        Raises:
            StoreError: one of them is not there or not as announced.
            MessageError: a reference is none.
        """
        began = time.monotonic()
        plan, states = self._plan, self._order.states
        self._global, self._bytes_down = self._get(Reference.from_message(self._order.weights))
        if plan.schema and (short := states.get(str(self._order.client))) is not None:
            arrays, self._state_bytes = self._get(Reference.from_short(short, plan.schema), plan.schema)
            self._memory = plan.split(arrays)
        if plan.control and (short := states.get(SERVER)) is not None:
            reference = Reference.from_short(short, plan.control)
            self._server_control, num_bytes = self._get(reference, plan.control)
            self._bytes_down += num_bytes
        self._seconds = time.monotonic() - began
        return plan.with_own(self._global, self._memory)

    def corrections(self) -> dict[str, NDArray[np.generic]]:
        """What SCAFFOLD adds to the gradients, by name of the weights; empty for any other strategy."""
        names = [spec.name for spec in compress(self._context.instance.schema, self._plan.is_controlled)]
        return dict(zip(names, scaffold.correction(*self._controls()), strict=True))

    def _controls(self) -> tuple[Weights, Weights]:
        """The client's control variate and the server's."""
        zeros = scaffold.zero_control(self._plan.control)
        return self._memory.control or zeros, self._server_control or zeros

    def deliver(self, local: Weights, scores: NDArray[np.float32] | None, num_steps: int) -> dict[str, Any]:
        """Write the update, any validation scores, and what the client remembers from now on.

        Args:
            local: weights after the training.
            scores: float32 (N,), of the validation images; None where they are not sent.
            num_steps: training steps made.

        Returns:
            The fields of ClientReply that tell of all this.

        Raises:
            StoreError: the store is out of reach.
            SchemaError: the weights are not finite and cannot be compressed.
        """
        dtype, schema, plan = self._context.config.UPDATE_DTYPE, self._context.instance.schema, self._plan
        payload, feedback = compression.compress(dtype, schema, local, self._global, self._memory.feedback)
        state = [*feedback, *self._next_control(local, num_steps), *plan.owned(local)]
        began = time.monotonic()
        update = self._put("update", compression.payload_schema(dtype, schema), payload)
        predictions = None
        if scores is not None:
            key = self._key("scores")
            predictions = put_arrays(self._context.store, key, ["scores"], [scores]).to_message()
        kept = self._put("state", plan.schema, state) if plan.schema else None
        return {
            "update": update.to_message(),
            "predictions": predictions,
            "state": kept.to_short() if kept else None,
            "bytes_down": self._bytes_down,
            "bytes_up": update.length,
            "state_bytes": self._state_bytes + (kept.length if kept else 0),
            "transfer_seconds": self._seconds + time.monotonic() - began,
        }

    def _next_control(self, local: Weights, num_steps: int) -> Weights:
        began, ended = self._plan.controlled(self._global), self._plan.controlled(local)
        learning_rate = self._context.config.learning_rate
        return scaffold.next_control(
            *self._controls(), began, ended, num_steps=num_steps, learning_rate=learning_rate
        )

    def _get(self, reference: Reference, schema: Schema | None = None) -> tuple[Weights, int]:
        """Arrays of `schema`, that of the model by default, and their bytes in the store."""
        arrays = get_arrays(self._context.store, reference, schema or self._context.instance.schema)
        return arrays, reference.length

    def _put(self, kind: str, schema: Schema, arrays: Weights) -> Reference:
        return put_arrays(self._context.store, self._key(kind), [spec.name for spec in schema], arrays)

    def _key(self, kind: str) -> str:
        return self._context.key(kind, self._order.round, self._order.client, self._order.attempt)
