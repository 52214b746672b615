"""Clients' states and compressed updates: read and written by a client, received by the aggregation,
resumed.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.federated import compression
from helpers.federated.client_state import ClientState, ClientStatePlan
from helpers.federated.messages import SERVER, Reference, States, TrainOrder
from helpers.federated.replies import ClientReply
from helpers.federated.results import RunState
from helpers.federated.strategies.base import zeros_like
from helpers.federated.weights import Schema, Weights
from helpers.run_records.checkpoint import load_arrays, save_client_state
from helpers.weight_store.store import get_arrays, put_arrays
from preprocessing.feed.partitioning import count_clients
from tasks.client_exchange import ClientExchange
from tasks.run_context import RunContext


class StatefulExchange(ClientExchange):
    """Exchange of a client of a run with a state plan: it sends compressed or masked updates, or remembers
    something from round to round. Arguments as for `ClientExchange`.
    """

    def __init__(self, context: RunContext, order: TrainOrder) -> None:
        super().__init__(context, order)
        assert context.state_plan is not None  # it is for such runs
        self._plan = context.state_plan
        self._global: Weights = []
        self._state = ClientState()
        self._shared: Weights = []
        self._state_bytes = 0

    def fetch(self) -> Weights:
        """Read the global weights, the client's state and the shared state.

        Returns:
            The global weights, with the client's private arrays in their place.
        """
        self._global = super().fetch()
        began = time.monotonic()
        plan, states = self._plan, self.order.states
        if plan.schema and (short := states.get(str(self.order.client))) is not None:
            self._state = plan.split(self._read_state(short))
        if (short := states.get(SERVER)) is not None:
            reference = Reference.from_short(short, plan.strategy)
            self._shared = get_arrays(self.context.store, reference, plan.strategy)
            self.bytes_down += reference.length
        self._seconds += time.monotonic() - began
        return plan.with_private(self._global, self._state)

    def _read_state(self, short: dict[str, Any]) -> Weights:
        """Return the arrays of the client's state, from its reference in the order."""
        reference = Reference.from_short(short, self._plan.schema)
        self._state_bytes = reference.length
        return get_arrays(self.context.store, reference, self._plan.schema)

    def additions(self) -> dict[str, Any]:
        return {"gradient_terms": self._gradient_terms(), "optimizer_state": self._state.optimizer}

    def _gradient_terms(self) -> Mapping[str, NDArray[np.generic]]:
        if not self._plan.strategy:
            return {}
        terms = self.context.config.strategy.gradient_term(*self._own_and_shared())
        names = compress(self.context.instance.names, self._plan.is_stepped)
        return dict(zip(names, terms, strict=True))

    def _own_and_shared(self) -> tuple[Weights, Weights]:
        """Return the strategy's state of the client, and the shared one."""
        zeros = zeros_like(self._plan.strategy)
        return self._state.strategy or zeros, self._shared or zeros

    def deliver(self, local: Weights, num_steps: int) -> dict[str, Any]:
        """Write the update and the client's state; return the fields of ClientReply about them.

        Raises:
            SchemaError: the weights are not finite and cannot be compressed.
        """
        dtype, plan, model = self.context.config.UPDATE_DTYPE, self._plan, self.context.instance.schema
        payload, feedback = compression.compress(dtype, model, local, self._global, self._state.feedback)
        own: Weights = []
        if plan.strategy:
            own = self.context.config.strategy.next_client_state(
                *self._own_and_shared(), plan.stepped(self._global), plan.stepped(local),
                num_steps=num_steps,
                learning_rate=self.context.config.learning_rate_in(self.order.round),
            )  # fmt: skip
        began = time.monotonic()
        update = self.put("update", compression.payload_schema(dtype, model), payload)
        state = None
        if plan.schema:
            kept = self.context.instance.optimizer_state() if plan.optimizer else []
            state = self.put("state", plan.schema, [*feedback, *own, *plan.private_arrays(local), *kept])
        return {
            "update": update.to_message(),
            "state": state.to_short() if state else None,
            "bytes_down": self.bytes_down,
            "bytes_up": update.length,
            "state_bytes": self._state_bytes + (state.length if state else 0),
            "transfer_seconds": self._seconds + time.monotonic() - began,
        }


def receive_update(
    context: RunContext,
    plan: ClientStatePlan,
    reply: ClientReply,
    fetch: Callable[[str, Reference, Schema], Weights],
    read_global_weights: Callable[[], Weights],
) -> Weights:
    """Return a client's weights from the compressed update it sent.

    Args:
        context: of the aggregation.
        plan: of the clients' states.
        reply: of the client.
        fetch: reads arrays that a reply refers to, given their kind, reference and schema.
        read_global_weights: returns the weights that the round began with.
    """
    dtype, model = context.config.UPDATE_DTYPE, context.instance.schema
    payload = fetch("update", Reference.from_message(reply.update), compression.payload_schema(dtype, model))
    return compression.decompress(dtype, model, payload, read_global_weights() if dtype != "float32" else [])


def receive_state(
    context: RunContext,
    plan: ClientStatePlan,
    reply: ClientReply,
    fetch: Callable[[str, Reference, Schema], Weights],
) -> tuple[dict[str, Any], str]:
    """Write a client's state into the checkpoint; return its short reference and the file's name.

    Raises:
        SchemaError: no client has such a state.
        RecordError: it could not be written.
    """
    reference = Reference.from_short(reply.state, plan.schema)
    state = fetch("state", reference, plan.schema)
    plan.check(state)
    file = save_client_state(context.folders, reply.round, reply.client, plan.schema, state)
    return reference.to_short(), file


def put_states(context: RunContext, state: RunState) -> States:
    """Put the states of the last finished round from the checkpoint into the weight store, for a resumed
    run.
    """
    plan = context.state_plan
    if plan is None:
        return {}
    if context.config.SECURE_AGGREGATION:  # the sites keep their states
        return {client: {"key": file} for client, file in state.state_files.items()}
    names = [spec.name for spec in plan.schema]
    states: States = {}
    for client, file in state.state_files.items():
        site = state.sites[int(client)]["name"] if state.sites else None
        key = context.key("state", state.round, client, 0, site=site)
        arrays = load_arrays(context.folders, file, plan.schema)
        states[client] = put_arrays(context.store, key, names, arrays).to_short()
    return states | put_shared_state(context, state)


def put_shared_state(context: RunContext, state: RunState) -> States:
    """Store what STRATEGY shares with all clients of the next round, computed from the clients' states.

    Args:
        context: of the run.
        state: after a round; it names the clients' state files.

    Returns:
        {SERVER: its reference}; empty where the strategy shares nothing, or no client has a state yet.
    """
    plan, strategy = context.state_plan, context.config.strategy
    if plan is None or not strategy.shares_state or not state.state_files:
        return {}

    if state.sites:  # all sites of the run so far; one without a file has no state yet
        clients = list(range(len(state.sites)))
    else:
        clients = context.config.clients_of(count_clients(context.data, context.config))

    def client_states() -> Iterator[Weights]:
        for client in clients:
            file = state.state_files.get(str(client))
            arrays = load_arrays(context.folders, file, plan.schema) if file else None
            yield plan.split(arrays).strategy if arrays else zeros_like(plan.strategy)

    names = [spec.name for spec in plan.strategy]
    key = context.key("shared", state.round)
    return {SERVER: put_arrays(context.store, key, names, strategy.shared_state(client_states())).to_short()}
