"""Runs rounds as Celery chords; tasks are sent by name through an app that is handed in."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import redis
from celery import Celery, chord
from celery.utils.nodenames import worker_direct
from kombu.exceptions import OperationalError

from helpers.cluster.connection import redis_time
from helpers.cluster.errors import QuorumMissed, TaskFailed
from helpers.cluster.job_board import JobBoard
from helpers.cluster.jobs import Deadline, Job
from helpers.cluster.keys import SITE_QUEUE
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
from helpers.federated.site_messages import (
    FinishSitesOrder,
    OfferOrder,
    RecordOrder,
    ScoreOrder,
    ScoreReply,
)

TRAIN_QUEUE = "train"
AGGREGATE_QUEUE = "aggregate"
TASK_OF: dict[type[Order], tuple[str, str]] = {
    StartOrder: ("tasks.start_run", AGGREGATE_QUEUE),
    TrainOrder: ("tasks.train", TRAIN_QUEUE),
    RoundOrder: ("tasks.aggregate", AGGREGATE_QUEUE),
    FinishOrder: ("tasks.finish_run", AGGREGATE_QUEUE),
    ScoreOrder: ("tasks.score", TRAIN_QUEUE),
    RecordOrder: ("tasks.record", AGGREGATE_QUEUE),
    OfferOrder: ("tasks.offer_best", AGGREGATE_QUEUE),
    FinishSitesOrder: ("tasks.finish_sites", AGGREGATE_QUEUE),
}
"""Which task does what an order asks for, and the queue it is sent to unless it is for a site."""


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
        """Have the best model tested by these sites and the models written; returns {test, notes}."""
        offered = self._do(OfferOrder(**self._facts, attempt=0))
        best, threshold = offered["round"], without_choice(self._facts["settings"]["THRESHOLD"])
        order = FinishSitesOrder(
            **self._facts, attempt=0, round=best, clients=cohort.clients, sites=cohort.sites, scores={}
        )
        for split in ("val",) if offered["tests_here"] else ("val", "test"):
            orders = [
                ScoreOrder.of(order, client, cohort.sites[client], best, split, offered["weights"], threshold)
                for client in cohort.clients
            ]
            order.scores[split] = self._collect_scores(orders)
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
        patiently, clients = self._supervisor.patiently, cohort.clients
        order = RoundOrder(
            **self._facts,
            attempt=0,
            round=round_number,
            clients=clients,
            num_clients=cohort.num_clients,
            sites=cohort.sites,
            weights=weights.to_message(),
            sent_at=patiently(lambda: redis_time(self._client)),
            states=states,
        )
        train_orders = [TrainOrder.of(order, client) for client in clients]
        trainings = [self._job(train_order) for train_order in train_orders]
        patiently(lambda: self._board.expect({job.name: 0 for job in trainings} | {order.job: 0}))
        header = [self._signature(train_order) for train_order in train_orders]
        self._send(lambda: chord(header, app=self._app)(self._signature(order)))

        def tell(answers: dict[str, Any], workers: Workers) -> None:
            self._tell_progress(RoundProgress(round_number, len(answers), len(clients), workers))

        deadline = Deadline(time.monotonic() + self._terms.deadline_s, self._mark_missing)
        replies = self._supervisor.supervise(trainings, self._mark_failed, tell, deadline)
        messages = [replies[job.name] for job in trainings]
        self._check_quorum(round_number, read_replies(round_number, clients, messages))
        aggregation = self._job(order, messages)
        if any(job.attempt or job.was_answered_for for job in trainings):
            # The chord has lost a part: it will not fire.
            patiently(lambda: self._supervisor.send_again(aggregation))
        answers = self._supervisor.supervise(
            [aggregation], _refuse, lambda _, workers: tell(replies, workers), self._task_deadline()
        )
        patiently(lambda: self._board.forget([job.name for job in trainings] + [order.job]))
        patiently(lambda: [self._app.backend.forget(signature.id) for signature in header])
        answer = answers[order.job]
        result = RoundResult.from_message(self._record(order, answer) if cohort.sites else answer)
        self._tell_refused(result, messages)
        return result

    def _record(self, order: RoundOrder, combined: dict[str, Any]) -> dict[str, Any]:
        """Have the sites of a round score its new model, and the round put into the records."""
        scores = self._collect_scores(
            [
                ScoreOrder.of(order, client, order.sites[client], order.round, "val", combined["weights"])
                for client in order.clients
            ]
        )
        return self._do(RecordOrder(**vars(order), combined=combined, scores=scores))

    def _collect_scores(self, orders: list[ScoreOrder]) -> list[Any]:
        """What the sites answer, in order; in the place of those that do not, that they do not."""
        jobs = [self._job(order) for order in orders]
        self._supervisor.patiently(lambda: self._board.expect({job.name: 0 for job in jobs}))
        for job in jobs:
            job.send(0, None)
        deadline = Deadline(time.monotonic() + self._terms.deadline_s, self._mark_missing)
        answers = self._supervisor.supervise(jobs, self._mark_failed, deadline=deadline)
        self._supervisor.patiently(lambda: self._board.forget([job.name for job in jobs]))
        return [answers[job.name] for job in jobs]

    def _tell_refused(self, result: RoundResult, messages: list[Any]) -> None:
        """Say whose update the aggregation could not use, unless it was known before."""
        for row, message in zip(result.clients, messages, strict=True):
            if row["status"] == "failed" and message["status"] in USABLE:
                self._supervisor.notice(f"round {row['round']}: client {row['client']}: {row['error']}")
        for reason in result.left_out:
            self._supervisor.notice(f"round {result.metrics['round']}: {reason}")

    def _do(self, order: Order) -> dict[str, Any]:
        job = self._job(order)
        self._supervisor.patiently(lambda: self._board.expect({job.name: 0}))
        job.send(0, None)
        answers = self._supervisor.supervise([job], _refuse, deadline=self._task_deadline())
        answer: dict[str, Any] = answers[job.name]
        self._supervisor.patiently(lambda: self._board.forget([job.name]))
        return answer

    def _job(self, order: Order, *arguments: Any) -> Job:
        def send(attempt: int, target: str | None) -> None:
            where = worker_direct(target) if target else None
            signature = self._signature(replace(order, attempt=attempt), *arguments)
            self._send(lambda: signature.apply_async(**({"queue": where} if where else {})))

        return Job(order.job, _queue_of(order), send, site=order.site)

    def _signature(self, order: Order, *arguments: Any) -> Any:
        return self._app.signature(
            TASK_OF[type(order)][0],
            args=(*arguments, order.to_message()),
            queue=_queue_of(order),
            task_id=str(uuid.uuid4()),
        )

    def _send(self, send: Callable[[], Any]) -> None:
        """Send; what does not get through while Redis is away is found lost and sent again."""
        try:
            send()
        except (OperationalError, redis.RedisError):
            return

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


def _queue_of(order: Order) -> str:
    return SITE_QUEUE + order.site if order.site else TASK_OF[type(order)][1]


def _refuse(job: Job, error: str) -> None:
    how = "failed twice; the last time" if job.failed > 1 else "was given up"
    raise TaskFailed(f"{job.name} {how}: {error}")
