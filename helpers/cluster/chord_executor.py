"""Runs each round as a Celery chord: the clients' trainings, then the aggregation."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis
from celery import Celery, chord

from helpers.cluster.dispatch import Dispatcher
from helpers.cluster.errors import QuorumMissed, TaskFailed
from helpers.cluster.job_board import JobBoard, redis_time
from helpers.cluster.supervision import Deadline, Job, Supervisor, Workers
from helpers.federated.cohort import Cohort
from helpers.federated.messages import (
    TRAIN_QUEUE,
    FinishOrder,
    Order,
    Reference,
    RoundOrder,
    RoundResult,
    RunState,
    StartOrder,
    States,
    TrainOrder,
)
from helpers.federated.observers import RoundProgress
from helpers.federated.quorum import clients_needed
from helpers.federated.replies import USABLE, ClientReply, read_replies


@dataclass(frozen=True)
class RoundTerms:
    """When a round is over.

    Attributes:
        deadline_s: it closes after this time, seconds, with the clients that have replied.
        min_clients: usable replies that it needs; see `clients_needed`.
        task_deadline_s: limit of the aggregation, and of the start and end of a run, seconds.
    """

    deadline_s: float
    min_clients: float
    task_deadline_s: float


class ChordExecutor:
    """Sends the orders of one run and waits for their answers.

    Args:
        app: the Celery app.
        client: connection to Redis.
        board: the run's board, of this session.
        supervisor: of the jobs.
        facts: fields of every order of the run: run, session, settings, data_digest, versions.
        terms: when a round is over.
        on_progress: called with a round's progress, at least once a second.
    """

    def __init__(
        self,
        app: Celery,
        client: redis.Redis,
        board: JobBoard,
        supervisor: Supervisor,
        facts: dict[str, Any],
        terms: RoundTerms,
        on_progress: Callable[[RoundProgress], None],
    ) -> None:
        self._app = app
        self._client = client
        self._board = board
        self._supervisor = supervisor
        self._dispatcher = Dispatcher(app, board, supervisor)
        self._facts = facts
        self._terms = terms
        self._on_progress = on_progress

    def start_run(self, *, resume: bool) -> dict[str, Any]:
        """Have the run prepared; return {state, weights, states}."""
        return self._run_order(StartOrder(**self._facts, attempt=0, resume=resume))

    def finish_run(self, state: RunState, cohorts: Any) -> dict[str, Any]:
        """Have the best model tested and the models written; return {test}.

        Args:
            state: of the run after its last round.
            cohorts: what chose the clients; used where they are sites.
        """
        return self._run_order(FinishOrder(**self._facts, attempt=0))

    def count_trainers(self) -> int:
        """Return how many live workers serve the queue of trainings, at least 1; wait for the first worker.

        Raises:
            ClusterError: no worker came.
        """
        workers = self._supervisor.wait_for_workers()
        return max(1, sum(TRAIN_QUEUE in status.get("queues", ()) for status in workers.values()))

    def run_round(self, round_number: int, cohort: Cohort, weights: Reference, states: States) -> RoundResult:
        """Run one round: the chord of every client's training and the aggregation.

        If a training is lost or fails, the chord cannot fire. The training is then repeated by itself, and
        the aggregation is sent with the replies on the board, so that the round ends.

        Raises:
            ClusterError: the round cannot be finished.
        """
        retry_redis, clients = self._supervisor.retry_redis, cohort.clients
        sent_at = retry_redis(lambda: redis_time(self._client))
        order = self._round_order(round_number, cohort, weights, states, sent_at)
        train_orders = [self._train_order(order, client) for client in clients]
        trainings = [self._dispatcher.job(train_order) for train_order in train_orders]
        retry_redis(lambda: self._board.expect({job.name: 0 for job in trainings} | {order.job: 0}))
        header = [self._dispatcher.signature(train_order) for train_order in train_orders]
        body = self._dispatcher.signature(order)
        self._dispatcher.send(lambda: chord(header, app=self._app)(body))

        def on_progress(answers: dict[str, Any], workers: Workers) -> None:
            self._on_progress(RoundProgress(round_number, len(answers), len(clients), workers))

        replies = self._supervisor.supervise(trainings, self.mark_failed, on_progress, self.round_deadline())
        messages = [replies[job.name] for job in trainings]
        absent = [r for r in read_replies(round_number, clients, messages) if r.status not in USABLE]
        if absent:
            self._check_quorum(round_number, len(clients), absent)
        aggregation = self._dispatcher.job(order, messages)
        if any(job.attempt or job.was_answered_for for job in trainings):
            retry_redis(lambda: self._supervisor.send_again(aggregation))
        answers = self._supervisor.supervise(
            [aggregation],
            _raise_failure,
            lambda _, workers: on_progress(replies, workers),
            self._task_deadline(),
        )
        retry_redis(lambda: self._board.forget([job.name for job in trainings] + [order.job]))
        self._dispatcher.forget_results(header)
        result = self._result_of(order, answers[order.job])
        self._report_refused(result, messages)
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
        return RoundResult.from_message(answer)

    # Failures and deadlines

    def _run_order(self, order: Order) -> dict[str, Any]:
        (answer,) = self._dispatcher.run_orders([order], _raise_failure, self._task_deadline())
        return answer

    def round_deadline(self) -> Deadline:
        """Return the deadline of the clients of a round that starts now."""
        return Deadline(time.monotonic() + self._terms.deadline_s, self._mark_missing)

    def _task_deadline(self) -> Deadline:
        return Deadline(time.monotonic() + self._terms.task_deadline_s, self._raise_too_late)

    def _raise_too_late(self, job: Job) -> None:
        where = f"on {job.runner}" if job.runner else f"in the queue {job.queue}, which no free worker serves"
        raise TaskFailed(f"{job.label}: no answer within {self._terms.task_deadline_s:g} s; it is {where}")

    def mark_failed(self, job: Job, error: str) -> None:
        """Answer a client's job in place of its worker: it failed."""
        self.answer_for(job, ClientReply(**_ids(job), status="failed", error=error))

    def _mark_missing(self, job: Job) -> None:
        error = f"no reply within {self._terms.deadline_s:g} s"
        self.answer_for(job, ClientReply(**_ids(job), status="missing", error=error))

    def answer_for(self, job: Job, reply: ClientReply) -> None:
        """Put a reply on the board in place of a worker, unless its own came first."""
        if self._board.answer(job.name, job.attempt, reply.to_message()):
            job.was_answered_for = True
            self._supervisor.notice(f"{job.label}: {reply.status}: {reply.error}")

    def _report_refused(self, result: RoundResult, messages: list[Any]) -> None:
        """Report clients whose update was refused by the aggregation."""
        for row, message in zip(result.clients, messages, strict=True):
            if row["status"] == "failed" and message["status"] in USABLE:
                self._supervisor.notice(f"round {row['round']}, client {row['client']}: {row['error']}")

    def _check_quorum(self, round_number: int, num_clients: int, absent: list[ClientReply]) -> None:
        needed = clients_needed(self._terms.min_clients, num_clients)
        if num_clients - len(absent) < needed:
            reasons = "; ".join(
                f"client {reply.client} on {reply.worker or '?'} {reply.status}: {reply.error}"
                for reply in absent
            )
            raise QuorumMissed(
                f"round {round_number}: {num_clients - len(absent)} of {num_clients} clients replied, "
                f"MIN_CLIENTS needs {needed} ({reasons})"
            )


def _ids(job: Job) -> dict[str, Any]:
    _, round_number, client = job.name.split(":")
    return {
        "round": int(round_number),
        "client": int(client),
        "attempt": job.attempt,
        "worker": job.runner or "",
    }


def _raise_failure(job: Job, error: str) -> None:
    how = "failed twice; the last time" if job.failed > 1 else "gave up"
    raise TaskFailed(f"{job.label}: {how}: {error}")
