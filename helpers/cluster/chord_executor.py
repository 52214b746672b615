"""Runs rounds as Celery chords."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis
from celery import Celery, chord

from helpers.cluster.connection import redis_time
from helpers.cluster.dispatch import TRAIN_QUEUE, Dispatcher
from helpers.cluster.errors import QuorumMissed, TaskFailed
from helpers.cluster.job_board import JobBoard
from helpers.cluster.jobs import Deadline, Job
from helpers.cluster.supervision import Supervisor, Workers
from helpers.evaluation.threshold_rule import without_choice
from helpers.federated.cohort import Cohort
from helpers.federated.messages import (
    ClientReply,
    FinishOrder,
    Order,
    Reference,
    RoundOrder,
    RoundResult,
    StartOrder,
    States,
    Status,
    TrainOrder,
)
from helpers.federated.observers import RoundProgress
from helpers.federated.quorum import clients_needed
from helpers.federated.replies import USABLE, read_replies
from helpers.federated.sites.messages import (
    FinishSitesOrder,
    OfferOrder,
    RecordOrder,
    ScoreOrder,
    ScoreReply,
)


@dataclass(frozen=True)
class RoundTerms:
    """When a round is over.

    Attributes:
        deadline_s: it closes after so many seconds with those who have replied.
        min_clients: how many usable replies it needs; see `clients_needed`.
        task_deadline_s: how long the aggregation, the start and the end of a run may take, seconds.
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
        supervisor: watches the jobs.
        facts: what every order of the run says: run, session, settings, data_digest, versions.
        terms: when a round closes, and how many clients it needs.
        tell_progress: told how a round stands, at least once a second.
    """

    def __init__(
        self,
        app: Celery,
        client: redis.Redis,
        board: JobBoard,
        supervisor: Supervisor,
        facts: dict[str, Any],
        terms: RoundTerms,
        tell_progress: Callable[[RoundProgress], None],
    ) -> None:
        self._app = app
        self._client = client
        self._board = board
        self._supervisor = supervisor
        self._dispatcher = Dispatcher(app, board, supervisor)
        self._facts = facts
        self._terms = terms
        self._tell_progress = tell_progress

    def start_run(self, *, resume: bool) -> dict[str, Any]:
        """Have the run made ready; returns {state, weights, states}."""
        return self._do(StartOrder(**self._facts, attempt=0, resume=resume))

    def finish_run(self) -> dict[str, Any]:
        """Have the best model tested and the models written; returns {test}."""
        return self._do(FinishOrder(**self._facts, attempt=0))

    def count_trainers(self) -> int:
        """How many live workers serve the queue of trainings, at least 1; waits until there is a worker.

        Raises:
            ClusterError: none came.
        """
        workers = self._supervisor.wait_for_workers()
        return max(1, sum(TRAIN_QUEUE in status.get("queues", ()) for status in workers.values()))

    def wait_for_workers(self, lacking: Callable[[Workers], str]) -> Workers:
        """What the live workers show, once nothing is lacking; see `Supervisor.wait_for_workers`."""
        return self._supervisor.wait_for_workers(lacking)

    def finish_sites(self, cohort: Cohort) -> dict[str, Any]:
        """Have the best model tested by these sites and the models written; returns {test, notes}.

        The sites test it only where the run has no test set of its own.
        """
        offered = self._do(OfferOrder(**self._facts, attempt=0))
        order = FinishSitesOrder(
            **self._facts, attempt=0, round=offered["round"], clients=cohort.clients, sites=cohort.sites,
            scores={},
        )  # fmt: skip
        threshold = without_choice(self._facts["settings"]["THRESHOLD"])
        for split in ("val",) if self._facts["data_digest"] else ("val", "test"):
            order.scores[split] = self._scores(order, split, offered["weights"], threshold)
        answer = self._do(order)
        for note in answer["notes"]:
            self._supervisor.notice(note)
        return answer

    def run_round(self, round_number: int, cohort: Cohort, weights: Reference, states: States) -> RoundResult:
        """Run one round: the chord of every client's training and the aggregation.

        Should the chord lose a part (a worker dies, a training fails), the missing part is sent
        again by itself and the aggregation is sent with the replies on the board, so the round ends.

        Raises:
            ClusterError: the round cannot be finished.
        """
        retry_redis, clients = self._supervisor.retry_redis, cohort.clients
        order = RoundOrder(
            **self._facts,
            attempt=0,
            round=round_number,
            clients=clients,
            num_clients=cohort.num_clients,
            sites=cohort.sites,
            weights=weights.to_message(),
            sent_at=retry_redis(lambda: redis_time(self._client)),
            states=states,
        )
        train_orders = [TrainOrder.of(order, client) for client in clients]
        trainings = [self._dispatcher.job(train_order) for train_order in train_orders]
        retry_redis(lambda: self._board.expect({job.name: 0 for job in trainings} | {order.job: 0}))
        header = [self._dispatcher.signature(train_order) for train_order in train_orders]
        body = self._dispatcher.signature(order)
        self._dispatcher.send(lambda: chord(header, app=self._app)(body))

        def tell(answers: dict[str, Any], workers: Workers) -> None:
            self._tell_progress(RoundProgress(round_number, len(answers), len(clients), workers))

        deadline = Deadline(time.monotonic() + self._terms.deadline_s, self._mark_missing)
        replies = self._supervisor.supervise(trainings, self._mark_failed, tell, deadline)
        messages = [replies[job.name] for job in trainings]
        self._check_quorum(round_number, read_replies(round_number, clients, messages))
        aggregation = self._dispatcher.job(order, messages)
        if any(job.attempt or job.was_answered_for for job in trainings):
            # The chord has lost a part: it will not fire.
            retry_redis(lambda: self._supervisor.send_again(aggregation))
        answers = self._supervisor.supervise(
            [aggregation], _refuse, lambda _, workers: tell(replies, workers), self._task_deadline()
        )
        retry_redis(lambda: self._board.forget([job.name for job in trainings] + [order.job]))
        self._dispatcher.forget_results(header)
        answer = answers[order.job]
        if cohort.sites:  # who alone can evaluate it
            scores = self._scores(order, "val", answer["weights"])
            answer = self._do(RecordOrder(**vars(order), combined=answer, scores=scores))
        result = RoundResult.from_message(answer)
        self._tell_refused(result, messages)
        return result

    def _scores(
        self, order: RoundOrder | FinishSitesOrder, split: str, weights: Any, threshold: float = 0.5
    ) -> list[dict[str, Any]]:
        """What its sites answer, in order; in the place of those that do not, that they do not."""
        orders = ScoreOrder.for_all(order, split, weights, threshold)
        deadline = Deadline(time.monotonic() + self._terms.deadline_s, self._mark_missing)
        return self._dispatcher.run_order(orders, self._mark_failed, deadline)

    def _tell_refused(self, result: RoundResult, messages: list[Any]) -> None:
        """Say whose update or scores could not be used, unless it was known before."""
        for row, message in zip(result.clients, messages, strict=True):
            if row["status"] == "failed" and message["status"] in USABLE:
                self._supervisor.notice(f"round {row['round']}: client {row['client']}: {row['error']}")
        for reason in result.left_out:
            self._supervisor.notice(f"round {result.metrics['round']}: {reason}")

    def _do(self, order: Order) -> dict[str, Any]:
        (answer,) = self._dispatcher.run_order([order], _refuse, self._task_deadline())
        return answer

    def _task_deadline(self) -> Deadline:
        return Deadline(time.monotonic() + self._terms.task_deadline_s, self._give_up)

    def _give_up(self, job: Job) -> None:
        where = f"on {job.runner}" if job.runner else f"in the queue {job.queue}, which no free worker serves"
        raise TaskFailed(f"{job.name}: no answer within {self._terms.task_deadline_s:g} s; it is {where}")

    def _mark_failed(self, job: Job, error: str) -> None:
        self._answer_for(job, "failed", error)

    def _mark_missing(self, job: Job) -> None:
        self._answer_for(job, "missing", f"no reply within {self._terms.deadline_s:g} s")

    def _answer_for(self, job: Job, status: Status, error: str) -> None:
        kind, round_number, client = job.name.split(":")
        make = ClientReply if kind == "train" else ScoreReply
        reply = make(int(round_number), int(client), job.attempt, job.runner or "", status, error)
        if self._board.answer(job.name, job.attempt, reply.to_message()):
            job.was_answered_for = True
            if kind == "train":  # the record of the round says it of scores
                self._supervisor.notice(f"round {round_number}: client {client} is {status}: {error}")

    def _check_quorum(self, round_number: int, replies: list[ClientReply]) -> None:
        absent = [reply for reply in replies if reply.status not in USABLE]
        needed = clients_needed(self._terms.min_clients, len(replies))
        if len(replies) - len(absent) < needed:
            reasons = "; ".join(
                f"client {r.client} on {r.worker or '?'} {r.status}: {r.error}" for r in absent
            )
            raise QuorumMissed(
                f"round {round_number}: {len(replies) - len(absent)} of {len(replies)} clients replied, "
                f"MIN_CLIENTS asks for {needed} ({reasons})"
            )


def _refuse(job: Job, error: str) -> None:
    how = "failed twice; the last time" if job.failed > 1 else "was given up"
    raise TaskFailed(f"{job.name} {how}: {error}")
