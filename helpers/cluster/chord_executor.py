"""Runs each round as a Celery chord: the clients' trainings, then the aggregation."""

import time
from collections.abc import Callable
from typing import Any

from celery import Celery, chord

from helpers.cluster.absent_clients import AbsentClients, RoundTerms
from helpers.cluster.answers import check_start, check_test, read_round, report_clients
from helpers.cluster.dispatch import Dispatcher, raise_failure
from helpers.cluster.job_board import JobBoard
from helpers.cluster.jobs import Deadline
from helpers.cluster.supervision import Supervisor
from helpers.cluster.worker_status import Workers
from helpers.federated.cohort import Cohort
from helpers.federated.messages import (
    TRAIN_QUEUE,
    FinishOrder,
    Reference,
    RoundOrder,
    StartOrder,
    States,
    TrainOrder,
)
from helpers.federated.observers import RoundProgress
from helpers.federated.replies import USABLE, read_replies
from helpers.federated.results import RoundResult, RunState


class ChordExecutor:
    """Sends the orders of one run and waits for their answers.

    Args:
        app: the Celery app.
        board: the run's board, of this session.
        supervisor: of the jobs.
        facts: fields of every order of the run: run, session, settings, data_digest, versions.
        terms: when a round is over.
        on_progress: called with a round's progress, at least once a second.
    """

    has_chord = True  # Celery starts the aggregation; otherwise it is sent with the replies on the board
    dispatcher: type[Dispatcher] = Dispatcher

    def __init__(
        self, app: Celery, board: JobBoard, supervisor: Supervisor, facts: dict[str, Any],
        terms: RoundTerms, on_progress: Callable[[RoundProgress], None],
    ) -> None:  # fmt: skip
        self._app = app
        self._board = board
        self._supervisor = supervisor
        self._dispatcher = self.dispatcher(app, board, supervisor, terms.task_deadline_s)
        self._absent_clients = AbsentClients(board, terms, supervisor.notice)
        self._facts = facts
        self._terms = terms
        self._on_progress = on_progress
        self.is_asked_to_stop = lambda: supervisor.retry_redis(board.is_asked_to_stop)

    def start_run(self, *, resume: bool, overwrite: bool) -> dict[str, Any]:
        """Have the run prepared, see `StartOrder`; return {state, weights, states}."""
        order = StartOrder(**self._facts, attempt=0, resume=resume, overwrite=overwrite)
        return self._dispatcher.run_order(order, check_start)

    def finish_run(self, state: RunState, cohorts: Any) -> dict[str, Any]:
        """Have the best model tested and all written; return {test, results}. Arguments are for sites."""
        return self._dispatcher.run_order(FinishOrder(**self._facts, attempt=0), check_test)

    def count_trainers(self) -> int:
        """Return how many live workers serve the queue of trainings, at least 1; wait for the first worker.

        Raises:
            ClusterError: no worker came.
        """
        workers = self._supervisor.wait_for_workers()
        return max(1, sum(TRAIN_QUEUE in status.get("queues", ()) for status in workers.values()))

    def run_round(self, round_number: int, cohort: Cohort, weights: Reference, states: States) -> RoundResult:
        """Run one round: the chord of every client's training and the aggregation.

        If a training is lost or fails, the chord cannot fire. The training is then sent again outside the
        chord, and the aggregation is sent with the replies on the board, so that the round ends.

        Raises:
            ClusterError: the round cannot be finished.
        """
        retry_redis, clients = self._supervisor.retry_redis, cohort.clients
        sent_at = retry_redis(self._supervisor.clock.tick)
        order = self._round_order(round_number, cohort, weights, states, sent_at)
        train_orders = [self._train_order(order, client) for client in clients]
        trainings = [self._dispatcher.job(train_order) for train_order in train_orders]
        retry_redis(lambda: self._board.expect({job.name: 0 for job in trainings} | {order.job: 0}))
        is_chord = self.has_chord and not self._supervisor.workers.unable  # they would take its messages, too
        header = [self._dispatcher.signature(train_order) for train_order in train_orders if is_chord]
        if is_chord:
            body = self._dispatcher.signature(order)
            self._dispatcher.send(lambda: chord(header, app=self._app)(body))
        else:
            for job in trainings:
                job.send(0, job.target)

        def on_progress(answers: dict[str, Any], workers: Workers) -> None:
            self._on_progress(RoundProgress(round_number, len(answers), len(clients), workers))

        deadline = Deadline(time.monotonic() + self._terms.deadline_s, self._absent_clients.mark_missing)
        on_failure = self._absent_clients.mark_failed
        replies = self._supervisor.supervise(trainings, on_failure, on_progress, deadline)
        messages = [replies[job.name] for job in trainings]
        absent = [r for r in read_replies(round_number, clients, messages) if r.status not in USABLE]
        if absent:
            self._absent_clients.check_quorum(round_number, len(clients), absent)
        aggregation = self._dispatcher.job(order, messages)
        if not is_chord or any(job.attempt or job.was_answered_for for job in trainings):  # it cannot fire
            retry_redis(lambda: self._supervisor.send_again(aggregation))
        answers = self._supervisor.supervise(
            [aggregation], raise_failure, lambda _, workers: on_progress(replies, workers),
            self._dispatcher.deadline(),
        )  # fmt: skip
        retry_redis(lambda: self._board.forget([job.name for job in trainings] + [order.job]))
        self._dispatcher.forget_results(header)
        result = self._result_of(order, answers[order.job])
        report_clients(result, messages, self._supervisor.notice)
        return result

    # What differs where the clients are sites

    def _round_order(
        self, round_number: int, cohort: Cohort, weights: Reference, states: States, sent_at: float
    ) -> RoundOrder:
        return RoundOrder(
            **self._facts, attempt=0, round=round_number, clients=cohort.clients,
            weights=weights.to_message(), sent_at=sent_at, states=states, num_clients=cohort.num_clients,
        )  # fmt: skip

    def _train_order(self, order: RoundOrder, client: int) -> TrainOrder:
        return TrainOrder.of(order, client)

    def _result_of(self, order: RoundOrder, answer: dict[str, Any]) -> RoundResult:
        return read_round(order, answer)
