"""The average of a round of sites whose updates are summed under masks."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from celery_app import app, worker_session
from helpers.evaluation.metrics import Metrics
from helpers.federated.messages import MessageError, Reference
from helpers.federated.quorum import QuorumError
from helpers.federated.replies import USABLE, ClientReply, read_replies
from helpers.federated.results import Averaged
from helpers.federated.sites.secure_messages import PublicKeys, Revealed, SecureRoundOrder, round_id
from helpers.federated.strategies.base import Update
from helpers.federated.weights import SchemaError
from helpers.run_records.tables import client_row
from helpers.secure_aggregation.fixed_point import Residues, add_residues, decode_mean
from helpers.secure_aggregation.unmasking import remove_masks
from helpers.weight_store.store import StoreError
from tasks.aggregate_task import average
from tasks.run_context import RoundClock, RunContext
from tasks.sites.average import SiteIntake
from tasks.sites.masked_exchange import masked_schema


@app.task(name="tasks.average_securely", ignore_result=True)
def average_securely(message: dict[str, Any]) -> None:
    """Average a round of masked updates; see `SecureRoundOrder` and `Averaged`."""
    worker_session().run_order(SecureRoundOrder, message, lambda order: average_round(order).to_message())


def average_round(order: SecureRoundOrder) -> Averaged:
    """Average one round and store the new global weights; nothing is committed."""
    context, clock = RunContext.of(order), RoundClock(order)
    intake = SecureIntake(context, order, read_replies(order.round, order.clients, order.replies))
    return average(context, order, intake, clock)[1]


class SecureIntake(SiteIntake):
    """Opens the replies of sites and sums their masked updates."""

    order: SecureRoundOrder

    def updates(self) -> Iterator[Update]:
        """Yield the mean of the sites' updates as a single one.

        Raises:
            QuorumError: too few updates, or one is missing without which the masks do not cancel.
        """
        self._check_quorum(sum(reply.status in USABLE for reply in self.replies))
        num_rows = self.num_rows()
        survivors = [reply for reply in self.replies if reply.status in USABLE]
        weight = sum(reply.num_examples for reply in survivors)
        try:
            sums = self._masked_sums(survivors)
            self._remove_masks(sums, [reply.client for reply in survivors])
            schema, is_shared = self.context.instance.schema, self.context.is_shared
            mean = decode_mean(schema, sums, self.global_weights, is_shared, weight, self.order.total)
        except (StoreError, SchemaError, MessageError, ValueError) as error:
            raise QuorumError(
                f"round {self.order.round}: the masked updates cannot be summed: {error}; resume the run to "
                "repeat the round"
            ) from error
        for reply in survivors if self._keeps_state else ():
            self._name_state(reply)
        for reply in self.replies:
            self.rows.append(client_row(*self._with_metrics(reply), self.site_of(reply.client)))
        num_steps = sum(reply.num_steps for reply in survivors)
        yield Update(mean, weight, num_steps, sum(num_rows[reply.client] for reply in survivors))

    def _with_metrics(self, reply: ClientReply) -> tuple[ClientReply, Metrics]:
        """Return a reply and its model's metrics; of a false tally none, and why, as its update is summed."""
        try:
            return reply, self.own_metrics(reply) if reply.status in USABLE else {}
        except ValueError as error:
            return replace(reply, error=f"its tally does not count: {error}"), {}

    @property
    def _keeps_state(self) -> bool:
        plan = self.context.state_plan
        return plan is not None and bool(plan.schema)

    def _name_state(self, reply: ClientReply) -> None:
        """Record the name of the file in which a site keeps its state for the next round."""
        name = reply.state.get("key") if isinstance(reply.state, dict) else None
        form = rf"state-{reply.round:04d}-{reply.client}-[0-9a-f]{{12}}\.safetensors"
        if isinstance(name, str) and re.fullmatch(form, name):
            client = str(reply.client)
            self.states[client], self.state_files[client] = {"key": name}, name

    def _masked_sums(self, survivors: list[ClientReply]) -> Residues:
        model = self.context.instance.schema
        sums = [np.zeros(spec.shape, np.uint32) for spec in model]
        most = [self.context.config.LOCAL_EPOCHS * count for count in self.num_rows()]
        for reply in survivors:
            if not 0 < reply.num_examples <= most[reply.client]:
                raise MessageError(f"client {reply.client}: {reply.num_examples} examples")
            reference = Reference.from_message(reply.update)
            masked = self._fetch(reply, "update", reference, masked_schema(model))
            add_residues(sums, [array.view(np.uint32) for array in masked])
            del masked  # before the next one is fetched
        return sums

    def _remove_masks(self, sums: Residues, survivors: list[int]) -> None:
        order = self.order
        keys = {int(client): PublicKeys.from_message(message) for client, message in order.keys.items()}
        dropped = set(order.clients) - set(survivors)
        revealed = [
            (int(client), Revealed.read(message, survivors, dropped))
            for client, message in order.revealed.items()
        ]
        remove_masks(sums, keys, order.clients, survivors, revealed, round_id(order))
