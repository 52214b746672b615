"""Runs rounds whose clients are sites: they alone can evaluate the average, so a round has two more steps."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from helpers.cluster.answers import check_offer, check_test, chosen_threshold, read_round, reading_answer
from helpers.cluster.chord_executor import ChordExecutor
from helpers.cluster.jobs import Deadline, Job
from helpers.cluster.site_dispatch import SiteDispatcher
from helpers.cluster.worker_status import Workers
from helpers.evaluation.threshold_rule import WITHOUT_CHOICE
from helpers.federated.cohort import Cohort
from helpers.federated.messages import Reference, RoundOrder, States, TrainOrder
from helpers.federated.results import RoundResult, RunState
from helpers.federated.sites.cohort import SiteChooser
from helpers.federated.sites.messages import (
    FinishSitesOrder,
    OfferOrder,
    RecordOrder,
    ScoreOrder,
    ScoreReply,
    SiteRoundOrder,
    SiteTestOrder,
    SiteTrainOrder,
)  # fmt: skip


class SiteExecutor(ChordExecutor):
    """Sends the orders of a run of sites and waits for their answers; arguments as for `ChordExecutor`."""

    has_chord = False  # the site that finishes last would read all replies and send the aggregation
    dispatcher = SiteDispatcher

    def wait_for_workers(self, lacking: Any) -> Workers:
        """Return the status of the live workers, once nothing is lacking; see
        `Supervisor.wait_for_workers`.
        """
        return self._supervisor.wait_for_workers(lacking)

    def finish_run(self, state: RunState, cohorts: SiteChooser) -> dict[str, Any]:
        """Have the best model tested by the live sites and the models written; return {test, results, notes}.

        The sites test it only where the run has no test set (TEST_DIR).
        """
        cohort = cohorts.live(state, "test")
        offered = self._dispatcher.run_order(OfferOrder(**self._facts, attempt=0), check_offer)
        order = FinishSitesOrder(
            **self._facts, attempt=0, round=offered["round"], clients=cohort.clients, sites=cohort.sites,
            scores={}, threshold=WITHOUT_CHOICE,
        )  # fmt: skip
        order.scores["val"] = self._scores(order, "val", offered["weights"])
        order = replace(order, threshold=chosen_threshold(order))
        if not self._facts["data_digest"]:
            order.scores["test"] = self._test(order, offered)
        answer = self._dispatcher.run_order(order, check_test)
        with reading_answer(order):
            notes = [str(note) for note in answer["notes"]]
        for note in notes:
            self._supervisor.notice(note)
        return answer

    def _round_order(
        self, round_number: int, cohort: Cohort, weights: Reference, states: States, sent_at: float
    ) -> SiteRoundOrder:
        plain = super()._round_order(round_number, cohort, weights, states, sent_at)
        return SiteRoundOrder(**vars(plain), sites=cohort.sites)

    def _train_order(self, order: RoundOrder, client: int) -> TrainOrder:
        assert isinstance(order, SiteRoundOrder)  # made above
        return SiteTrainOrder.at(order, client)

    def _result_of(self, order: RoundOrder, answer: dict[str, Any]) -> RoundResult:
        """Have the sites score the average, and the round recorded."""
        assert isinstance(order, SiteRoundOrder)  # made above
        with reading_answer(order):
            weights = answer["weights"]
        scores = self._scores(order, "val", weights)
        recorded = self._dispatcher.run_order(RecordOrder(**vars(order), averaged=answer, scores=scores))
        result = read_round(order, recorded)
        for reason in result.left_out:
            self._supervisor.notice(f"round {order.round}: {reason}")
        return result

    def _test(self, order: FinishSitesOrder, offered: dict[str, Any]) -> list[dict[str, Any]]:
        """Have the sites test models; those that they train take as long as all rounds, and some more."""
        initial, settings = offered["initial"], self._facts["settings"]
        orders = SiteTestOrder.for_all(order, "test", offered["weights"], order.threshold, initial=initial)
        return self._ask(orders, 1 if initial is None else 4 + settings["EPOCHS"])

    def _scores(
        self, order: SiteRoundOrder | FinishSitesOrder, split: str, weights: Any
    ) -> list[dict[str, Any]]:
        """Have the sites score a model."""
        return self._ask(ScoreOrder.for_all(order, split, weights, WITHOUT_CHOICE))

    def _ask(self, orders: Sequence[ScoreOrder], deadlines: int = 1) -> list[dict[str, Any]]:
        """Return the sites' ScoreReply messages in order; missing ones say so."""
        deadline = Deadline(time.monotonic() + self._terms.deadline_s * deadlines, self._mark_score_missing)
        return self._dispatcher.run_orders(orders, self._mark_score_failed, deadline)

    def _mark_score_failed(self, job: Job, error: str) -> None:
        self._answer_score(job, "failed", error)

    def _mark_score_missing(self, job: Job) -> None:
        self._answer_score(job, "missing", f"no reply within {self._terms.deadline_s:g} s")

    def _answer_score(self, job: Job, status: Any, error: str) -> None:
        """Put a reply on the board in place of a site; the record of the round reports the reason."""
        _, round_number, client = job.name.split(":")
        reply = ScoreReply(int(round_number), int(client), job.attempt, job.runner or "", status, error)
        if self._board.answer(job.name, job.attempt, reply.to_message()):
            job.was_answered_for = True
