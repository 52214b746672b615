"""The clients' updates, fetched and checked one at a time; a bad one fails its own client only."""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from helpers.evaluation.metrics import Metrics, evaluate, scores_shape
from helpers.federated.messages import MessageError, Reference, RoundOrder, States
from helpers.federated.quorum import QuorumError, clients_needed
from helpers.federated.replies import USABLE, ClientReply, norm_limit
from helpers.federated.strategies.base import Update
from helpers.federated.weights import ArraySpec, Schema, SchemaError, Weights, check_weights, norm
from helpers.run_records.checkpoint import holds, load_arrays, read_state
from helpers.run_records.tables import client_row
from helpers.weight_store.store import StoreError, get_arrays
from preprocessing.feed.partitioning import partition
from tasks.client_states import receive_state, receive_update
from tasks.run_context import RunContext


class UpdateIntake:
    """Opens the replies of a round.

    Args:
        context: of the aggregation.
        order: the round.
        replies: one for each of `order.clients`, in their order.

    Attributes:
        replies: the same; bad ones are `failed` with the reason once `updates` has been read.
        rows: their rows of clients.csv, likewise.
        states, state_files: references and files of the new states of clients that count, by id as text.
    """

    def __init__(self, context: RunContext, order: RoundOrder, replies: list[ClientReply]) -> None:
        self.context = context
        self.order = order
        self.replies = list(replies)
        self.rows: list[dict[str, Any]] = []
        self.states: States = {}
        self.state_files: dict[str, str] = {}
        config = context.config
        self._norm_limit = norm_limit(replies, config.MAX_UPDATE_RATIO, config.strategy.shortage)

    def updates(self) -> Iterator[Update]:
        """Yield every usable update.

        Raises:
            QuorumError: at the end, if there were fewer than MIN_CLIENTS.
            RecordError: a client's state could not be written.
        """
        num_rows = self.num_rows()
        for index, reply in enumerate(self.replies):
            metrics: Metrics = {}
            if reply.status in USABLE:
                rows = num_rows[reply.client]
                try:
                    weights, metrics = self._open(reply, rows)
                    yield Update(weights, reply.num_examples, reply.num_steps, rows)
                    del weights  # before the next one is fetched
                except (StoreError, SchemaError, MessageError, ValueError) as error:
                    reply = replace(reply, status="failed", error=f"update refused: {error}")
                    self.replies[index] = reply
            self.rows.append(client_row(reply, metrics, self.site_of(reply.client)))
        usable = sum(reply.status in USABLE for reply in self.replies)
        if usable < len(self.replies):
            self._check_quorum(usable)

    @functools.cached_property
    def global_weights(self) -> Weights:
        """The weights that the round began with, from the checkpoint, which costs no traffic."""
        schema = self.context.instance.schema
        reference = Reference.from_message(self.order.weights)
        state, _ = read_state(self.context.folders)
        if holds(state.weights_file, reference.sha256):
            return load_arrays(self.context.folders, state.weights_file, schema)
        # Another attempt has committed the round meanwhile, so this one will not count.
        return get_arrays(self.context.store, reference, schema)

    # What differs where the clients are sites

    def num_rows(self) -> Sequence[int]:
        """Return the number of training images of every client."""
        return [
            len(rows) for rows in partition(self.context.data, self.context.config, self.order.num_clients)
        ]

    def own_metrics(self, reply: ClientReply) -> Metrics:
        """Return the metrics of the client's own model on the validation images."""
        labels = self.context.data.labels("val")
        shape = scores_shape(len(labels), len(self.context.config.class_names))
        predictions = Reference.from_message(reply.predictions)
        (scores,) = self._fetch(reply, "scores", predictions, (ArraySpec("scores", "float32", shape),))
        return evaluate(labels, scores.astype(np.float64)).metrics

    def site_of(self, client: int) -> str | None:
        """Return the name of a client's site; None where clients are not sites."""
        return None

    # One reply

    def _open(self, reply: ClientReply, num_rows: int) -> tuple[Weights, Metrics]:
        config = self.context.config
        most_steps = config.LOCAL_EPOCHS * -(-num_rows // config.TRAIN_BATCH_SIZE)
        for count, most, what in (
            (reply.num_examples, config.LOCAL_EPOCHS * num_rows, "examples"),
            (reply.num_steps, most_steps, "steps"),
        ):
            if not 0 < count <= most:
                raise MessageError(f"{count} {what}, the client has {most} a round")
        plan = self.context.state_plan
        fetch = functools.partial(self._fetch, reply)
        if plan is None:
            schema = self.context.instance.schema
            weights = fetch("update", Reference.from_message(reply.update), schema)
            check_weights(weights, schema)
        else:
            weights = receive_update(self.context, plan, reply, fetch, lambda: self.global_weights)
        if self._norm_limit < math.inf and (length := norm(weights)) > self._norm_limit:
            raise self._absurd(length)
        metrics = self.own_metrics(reply)
        if plan is not None and plan.schema:  # the update is known to be good by now
            client = str(reply.client)
            self.states[client], self.state_files[client] = receive_state(self.context, plan, reply, fetch)
        return weights, metrics

    def _absurd(self, length: float) -> MessageError:
        ratio = self.context.config.MAX_UPDATE_RATIO
        return MessageError(
            f"its weights have the norm {length:.3g}, more than MAX_UPDATE_RATIO={ratio:g} times the median "
            f"of the round, {self._norm_limit / ratio:.3g}"
        )

    def _fetch(self, reply: ClientReply, kind: str, reference: Reference, schema: Schema) -> Weights:
        site = self.site_of(reply.client)
        if reference.key != self.context.key(kind, reply.round, reply.client, reply.attempt, site=site):
            raise StoreError(f"{reference.key}: not the key of this client's {kind}")
        return get_arrays(self.context.store, reference, schema)

    def _check_quorum(self, usable: int) -> None:
        needed = clients_needed(self.context.config.MIN_CLIENTS, len(self.replies))
        if usable < needed:
            raise QuorumError(f"{usable} usable updates, MIN_CLIENTS needs {needed}")

    @property
    def reasons(self) -> str:
        """Why clients do not count, for an error's text."""
        return "; ".join(f"client {reply.client}: {reply.error}" for reply in self.replies if reply.error)
