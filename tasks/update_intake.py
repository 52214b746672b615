"""The clients' updates, fetched one at a time; a bad one marks its client failed and the others count."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from helpers.evaluation.metrics import Metrics, binary_metrics
from helpers.federated.aggregation import update_factor
from helpers.federated.messages import ClientReply, MessageError, Reference, RoundOrder
from helpers.federated.quorum import clients_needed
from helpers.federated.replies import USABLE
from helpers.federated.weights import ArraySpec, Schema, SchemaError, Weights, check_weights
from helpers.run_records.rows import client_row
from helpers.weight_store.store import StoreError, get_arrays
from preprocessing.partitioning import partition_rows
from tasks.run_context import RunContext


class QuorumError(Exception):
    """Too few updates of a round can be used."""


class UpdateIntake:
    """Opens the replies of a round.

    Args:
        context: of the aggregation.
        order: the round.
        replies: one a client, in the order of `order.clients`.

    Attributes:
        replies: the same, bad ones as `failed` with the reason once `updates` has been read.
        rows: their rows of clients.csv, likewise.
    """

    def __init__(self, context: RunContext, order: RoundOrder, replies: list[ClientReply]) -> None:
        self._context = context
        self._order = order
        self._labels = context.data.labels("val")
        config = context.config
        shares = partition_rows(context.data.labels("train"), config.num_workers, config.SEED)
        self._num_rows = {client: len(rows) for client, rows in enumerate(shares)}
        self.replies = list(replies)
        self.rows: list[dict[str, Any]] = []

    def updates(self) -> Iterator[tuple[Weights, float]]:
        """Weights and what they count in the mean, of every usable reply.

        Raises:
            QuorumError: at the end, if there were fewer than MIN_CLIENTS.
        """
        for index, reply in enumerate(self.replies):
            metrics: Metrics = {}
            if reply.status in USABLE:
                try:
                    weights, metrics = self._open(reply)
                    yield weights, update_factor(self._context.config.STRATEGY, reply.num_examples)
                    del weights
                except (StoreError, SchemaError, MessageError, ValueError) as error:
                    reply = replace(reply, status="failed", error=f"update refused: {error}")
                    self.replies[index] = reply
            self.rows.append(client_row(reply, metrics))
        self._check_quorum()

    def _open(self, reply: ClientReply) -> tuple[Weights, Metrics]:
        if not 0 < reply.num_examples <= self._num_rows[reply.client]:
            raise MessageError(
                f"{reply.num_examples} examples, the client has {self._num_rows[reply.client]}"
            )
        schema = self._context.instance.schema
        weights = self._fetch("update", reply, reply.update, schema)
        check_weights(weights, schema)
        one_score_an_image = (ArraySpec("scores", "float32", (len(self._labels),)),)
        (scores,) = self._fetch("scores", reply, reply.predictions, one_score_an_image)
        return weights, binary_metrics(self._labels, scores.astype(np.float64))

    def _fetch(self, kind: str, reply: ClientReply, message: Any, schema: Schema) -> Weights:
        reference = Reference.from_message(message)
        if reference.key != self._context.key(kind, reply.round, reply.client, reply.attempt):
            raise StoreError(f"{reference.key}: not the place of this client's {kind}")
        return get_arrays(self._context.store, reference, schema)

    def _check_quorum(self) -> None:
        usable = sum(reply.status in USABLE for reply in self.replies)
        needed = clients_needed(self._context.config.MIN_CLIENTS, len(self.replies))
        if usable < needed:
            reasons = "; ".join(f"client {r.client}: {r.error}" for r in self.replies if r.error)
            raise QuorumError(f"{usable} usable updates, MIN_CLIENTS asks for {needed} ({reasons})")

    def forget(self) -> None:
        """Delete what the clients stored, and the global weights of two rounds ago."""
        keys = [
            self._context.key(kind, reply.round, reply.client, reply.attempt)
            for reply in self.replies
            for kind in ("update", "scores")
        ]
        self._context.store.delete([*keys, self._context.key("weights", self._order.round - 2)])
