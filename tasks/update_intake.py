"""The clients' updates, fetched one at a time; a bad one marks its client failed and the others count."""

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from helpers.evaluation.metrics import Metrics, evaluate
from helpers.evaluation.tallies import evaluation_of, read_tally
from helpers.evaluation.weighted_metrics import scores_shape
from helpers.federated.aggregation import update_factor
from helpers.federated.compression import decompress, payload_schema
from helpers.federated.messages import ClientReply, MessageError, Reference, RoundOrder, States
from helpers.federated.quorum import QuorumError, clients_needed
from helpers.federated.replies import USABLE
from helpers.federated.sites.site import Site
from helpers.federated.weights import ArraySpec, Schema, SchemaError, Weights
from helpers.run_records.checkpoint import holds, load_arrays, read_state, save_client_state
from helpers.run_records.rows import client_row
from helpers.weight_store.store import StoreError, get_arrays
from preprocessing.feed.partitioning import partition
from tasks.run_context import RunContext


class UpdateIntake:
    """Opens the replies of a round.

    Args:
        context: of the aggregation.
        order: the round.
        replies: one a client, in the order of `order.clients`.

    Attributes:
        replies: the same, bad ones as `failed` with the reason once `updates` has been read.
        rows: their rows of clients.csv, likewise.
        states, state_files: references and files of what those that count remember, by client id as text.
    """

    def __init__(self, context: RunContext, order: RoundOrder, replies: list[ClientReply]) -> None:
        self._context = context
        self._order = order
        self._dtype = context.config.UPDATE_DTYPE
        self._sites = [Site.from_message(message) for message in order.sites]
        if self._sites:
            self._num_rows = [sum(site.train) for site in self._sites]
        else:
            shares = partition(context.data, context.config, order.num_clients)
            self._num_rows = [len(rows) for rows in shares]
        self.replies = list(replies)
        self.rows: list[dict[str, Any]] = []
        self.states: States = {}
        self.state_files: dict[str, str] = {}

    def updates(self) -> Iterator[tuple[Weights, float]]:
        """Weights and what they count in the mean, of every usable reply.

        Raises:
            QuorumError: at the end, if there were fewer than MIN_CLIENTS.
            RecordError: what a client remembers could not be written down.
        """
        global_weights = [] if self._dtype == "float32" else self.global_weights
        for index, reply in enumerate(self.replies):
            metrics: Metrics = {}
            if reply.status in USABLE:
                try:
                    weights, metrics = self._open(reply, global_weights)
                    yield weights, update_factor(self._context.config.STRATEGY, reply.num_examples)
                    del weights
                except (StoreError, SchemaError, MessageError, ValueError) as error:
                    reply = replace(reply, status="failed", error=f"update refused: {error}")
                    self.replies[index] = reply
            site = self._sites[reply.client].name if self._sites else None
            self.rows.append(client_row(reply, metrics, site))
        self._check_quorum()

    @functools.cached_property
    def global_weights(self) -> Weights:
        """What the clients began with, from the checkpoint, which costs no traffic."""
        schema = self._context.instance.schema
        reference = Reference.from_message(self._order.weights)
        state, _ = read_state(self._context.folders)
        if holds(state.weights_file, reference.sha256):
            return load_arrays(self._context.folders, state.weights_file, schema)
        # An attempt before this one committed the round, but its answer did not arrive.
        return get_arrays(self._context.store, reference, schema)

    def _open(self, reply: ClientReply, global_weights: Weights) -> tuple[Weights, Metrics]:
        most = self._context.config.LOCAL_EPOCHS * self._num_rows[reply.client]
        if not 0 < reply.num_examples <= most:
            raise MessageError(f"{reply.num_examples} examples, the client has {most} a round")
        schema = self._context.instance.schema
        update = Reference.from_message(reply.update)
        payload = self._fetch("update", reply, update, payload_schema(self._dtype, schema))
        weights = decompress(self._dtype, schema, payload, global_weights)
        metrics = self._own_metrics(reply)
        self._take_state(reply)
        return weights, metrics

    def _own_metrics(self, reply: ClientReply) -> Metrics:
        """How the client's own model does on validation; at a site, on the site's."""
        num_classes = len(self._context.config.class_names)
        if self._sites:
            tally = read_tally(reply.tally, self._sites[reply.client].val)
            return evaluation_of([tally], num_classes).metrics
        labels = self._context.data.labels("val")
        schema = (ArraySpec("scores", "float32", scores_shape(len(labels), num_classes)),)
        predictions = Reference.from_message(reply.predictions)
        (scores,) = self._fetch("scores", reply, predictions, schema)
        return evaluate(labels, scores.astype(np.float64)).metrics

    def _take_state(self, reply: ClientReply) -> None:
        """Write down what a client remembers, if anything; its update is known to be good by now."""
        memory = self._context.memory
        schema = memory.schema
        if not schema:
            return
        reference = Reference.from_short(reply.state, schema)
        state = self._fetch("state", reply, reference, schema)
        memory.check(state)
        file = save_client_state(self._context.folders, reply.round, reply.client, schema, state)
        self.states[str(reply.client)] = reference.to_short()
        self.state_files[str(reply.client)] = file

    def _fetch(self, kind: str, reply: ClientReply, reference: Reference, schema: Schema) -> Weights:
        if reference.key != self._context.key(kind, reply.round, reply.client, reply.attempt):
            raise StoreError(f"{reference.key}: not the place of this client's {kind}")
        return get_arrays(self._context.store, reference, schema)

    def _check_quorum(self) -> None:
        usable = sum(reply.status in USABLE for reply in self.replies)
        needed = clients_needed(self._context.config.MIN_CLIENTS, len(self.replies))
        if usable < needed:
            raise QuorumError(f"{usable} usable updates, MIN_CLIENTS asks for {needed} ({self.reasons})")

    @property
    def reasons(self) -> str:
        """Why clients do not count, for an error's text."""
        return "; ".join(f"client {r.client}: {r.error}" for r in self.replies if r.error)
