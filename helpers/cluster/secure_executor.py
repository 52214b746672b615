"""Runs rounds of sites whose updates are summed under masks (`SECURE_AGGREGATION`)."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from helpers.cluster.answers import report_clients
from helpers.cluster.errors import QuorumMissed
from helpers.cluster.jobs import Deadline, Job
from helpers.cluster.mailbox import SiteBoard
from helpers.cluster.site_executor import SiteExecutor
from helpers.cluster.worker_status import Workers
from helpers.federated.cohort import Cohort
from helpers.federated.messages import MessageError, Reference, States
from helpers.federated.observers import RoundProgress
from helpers.federated.quorum import two_thirds
from helpers.federated.replies import USABLE, read_replies
from helpers.federated.results import RoundResult
from helpers.federated.sites.messages import SiteRoundOrder, SiteTrainOrder
from helpers.federated.sites.secure_messages import (
    SEALED_BYTES,
    ConfirmOrder,
    KeysOrder,
    PublicKeys,
    Revealed,
    RevealOrder,
    SecureRoundOrder,
    SecureStep,
    SecureTrainOrder,
    SharesOrder,
    read_shares,
    round_id,
)
from helpers.secure_aggregation.masks import is_public_key

Answer = TypeVar("Answer")


class SecureExecutor(SiteExecutor):
    """Sends the orders of a run of sites whose updates are summed under masks; arguments as for
    `ChordExecutor`.

    A round has four more steps: the sites announce keys and share secrets before they train. After it they
    confirm whose updates are summed, and reveal shares. A site that does not answer has dropped out. Two
    thirds of the sites suffice.
    """

    _crowded: frozenset[str] = frozenset()

    def run_round(self, round_number: int, cohort: Cohort, weights: Reference, states: States) -> RoundResult:
        """Run one round; see `helpers.secure_aggregation.member` for its steps.

        Raises:
            ClusterError: the round cannot be finished; QuorumMissed if less than two thirds are left.
        """
        order = self._round_order(round_number, cohort, weights, states, sent_at=0.0)
        keys = self._announced_keys(order)
        sealed = self._sealed_shares(order, keys)
        # The deadline is that of the training: each step before it may have waited for a silent site.
        sent_at = self._supervisor.retry_redis(self._supervisor.clock.tick)
        order = replace(order, clients=list(sealed), sent_at=sent_at)
        deadline_at = time.monotonic() + self._terms.deadline_s
        total = order.settings["LOCAL_EPOCHS"] * sum(sum(order.sites[c]["train"]) for c in order.clients)
        trainings = [
            SecureTrainOrder(
                **vars(SiteTrainOrder.at(order, client)), total=total,
                sealed={str(other): shares[client] for other, shares in sealed.items() if other != client},
            )
            for client in order.clients
        ]  # fmt: skip
        messages = self._dispatcher.run_orders(
            trainings, self._absent_clients.mark_failed,
            Deadline(deadline_at, self._absent_clients.mark_missing), self._progress_of(order),
        )  # fmt: skip
        replies = read_replies(round_number, order.clients, messages)
        survivors = [reply.client for reply in replies if reply.status in USABLE]
        self._check_number(round_number, "updates", len(survivors), len(keys))
        if absent := [reply for reply in replies if reply.status not in USABLE]:
            self._absent_clients.check_quorum(round_number, len(replies), absent)
        confirmations = self._confirmations(order, survivors, len(keys))
        revealed = self._revealed_shares(order, survivors, confirmations, len(keys))
        averaging = SecureRoundOrder(
            **vars(order), replies=messages, keys=_as_message(keys), revealed=_as_message(revealed),
            total=total,
        )  # fmt: skip
        result = self._result_of(order, self._dispatcher.run_order(averaging))
        report_clients(result, messages, self._supervisor.notice)
        return result

    def _progress_of(self, order: SiteRoundOrder) -> Callable[[dict[str, Any], Workers], None]:
        def on_progress(answers: dict[str, Any], workers: Workers) -> None:
            self._on_progress(RoundProgress(order.round, len(answers), len(order.clients), workers))

        return on_progress

    def wait_for_workers(self, lacking: Any) -> Workers:
        """Wait as `SiteExecutor`, and name sites with several workers, once each."""
        workers = super().wait_for_workers(lacking)
        numbers = Counter(name.partition("/")[0] for name in workers if "/" in name)
        crowded = {site for site, number in numbers.items() if number > 1} - self._crowded
        self._crowded |= crowded
        for site in sorted(crowded):
            self._supervisor.notice(
                f"site {site} has {numbers[site]} workers. With SECURE_AGGREGATION=true it needs one, whose "
                "memory has the keys of a round: end the others, or the site will drop out of rounds"
            )
        return workers

    # The steps of the protocol

    def _announced_keys(self, order: SiteRoundOrder) -> dict[int, PublicKeys]:
        board = self._board
        assert isinstance(board, SiteBoard)  # made for a run of sites

        def read(client: int, answer: dict[str, Any]) -> PublicKeys:
            keys, site = PublicKeys.from_message(answer), order.sites[client]["name"]
            text = keys.signed_text(round_id(order), client)
            if keys.site not in ("", site) or not board.verify(keys.site, text, keys.signature):
                raise MessageError("the site has not signed its keys")
            if not all(is_public_key(bytes.fromhex(each)) for each in (keys.sealing, keys.masking)):
                raise MessageError("no site can agree on a secret with its keys")
            return keys

        orders = [KeysOrder.at(order, client) for client in order.clients]
        return self._take_step(orders, len(orders), read)

    def _sealed_shares(self, order: SiteRoundOrder, keys: dict[int, PublicKeys]) -> dict[int, dict[int, str]]:
        """Return what each site has sealed for each other one, by sender and receiver."""

        def read(client: int, answer: dict[str, Any]) -> dict[int, str]:
            return read_shares(answer.get("shares"), SEALED_BYTES, keys.keys() - {client})

        orders = [SharesOrder.at(order, client, keys=_as_message(keys)) for client in keys]
        return self._take_step(orders, len(keys), read)

    def _confirmations(self, order: SiteRoundOrder, survivors: list[int], num_sites: int) -> dict[int, str]:
        """Return the signatures with which sites confirm the survivors."""

        def read(client: int, answer: dict[str, Any]) -> str:
            if not isinstance(signature := answer.get("signature"), str):
                raise MessageError("the signature is not text")
            return signature

        orders = [ConfirmOrder.at(order, client, survivors=survivors) for client in survivors]
        return self._take_step(orders, num_sites, read)

    def _revealed_shares(
        self, order: SiteRoundOrder, survivors: list[int], confirmations: dict[int, str], num_sites: int
    ) -> dict[int, Revealed]:
        dropped = set(order.clients) - set(survivors)
        confirmed = {str(client): signature for client, signature in confirmations.items()}
        orders = [
            RevealOrder.at(order, client, survivors=survivors, confirmations=confirmed)
            for client in confirmations
        ]
        return self._take_step(orders, num_sites, lambda _, answer: Revealed.read(answer, survivors, dropped))

    def _take_step(
        self,
        orders: Sequence[SecureStep],
        num_sites: int,
        read: Callable[[int, dict[str, Any]], Answer],
    ) -> dict[int, Answer]:
        """Send the orders of a step and return what the sites answered, by client.

        Raises:
            QuorumMissed: less than two thirds of `num_sites` have answered.
        """
        deadline = Deadline(time.monotonic() + self._terms.deadline_s, self._mark_late)
        messages = self._dispatcher.run_orders(orders, self._mark_dropped, deadline)
        answers = {}
        for order, message in zip(orders, messages, strict=True):
            try:
                answers[order.client] = read(order.client, message)
            except MessageError as error:
                reason = message.get("error", error)
                self._supervisor.notice(f"{order.label}: {reason}; the site has dropped out of the round")
        self._check_number(orders[0].round, orders[0].step, len(answers), num_sites)
        return answers

    def _check_number(self, round_number: int, what: str, number: int, num_sites: int) -> None:
        if number < (needed := two_thirds(num_sites)):
            raise QuorumMissed(
                f"round {round_number}: {what} of {number} of {num_sites} sites, secure aggregation needs "
                f"{needed}; no update of this round was revealed"
            )

    def _mark_dropped(self, job: Job, error: str) -> None:
        """Answer a site's step in its place."""
        if self._board.answer(job.name, job.attempt, {"error": error}):
            job.was_answered_for = True

    def _mark_late(self, job: Job) -> None:
        self._mark_dropped(job, f"no reply within {self._terms.deadline_s:g} s")


def _as_message(answers: dict[int, Any]) -> dict[str, Any]:
    return {str(client): answer.to_message() for client, answer in answers.items()}
