"""Runs rounds as Celery chords; tasks are sent by name through an app that is handed in."""

import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from celery import Celery, chord
from celery.utils.nodenames import worker_direct
from kombu.exceptions import OperationalError

from helpers.cluster.errors import TaskFailed
from helpers.cluster.job_board import JobBoard
from helpers.cluster.supervision import Job, Supervisor, Workers
from helpers.federated.messages import (
    ClientReply,
    FinishOrder,
    Order,
    Reference,
    RoundOrder,
    RoundResult,
    StartOrder,
    TrainOrder,
)
from helpers.federated.observers import RoundProgress

TRAIN_QUEUE = "train"
AGGREGATE_QUEUE = "aggregate"
TASK_OF: dict[type[Order], tuple[str, str]] = {
    StartOrder: ("tasks.start_run", AGGREGATE_QUEUE),
    TrainOrder: ("tasks.train", TRAIN_QUEUE),
    RoundOrder: ("tasks.aggregate", AGGREGATE_QUEUE),
    FinishOrder: ("tasks.finish_run", AGGREGATE_QUEUE),
}
"""Which task does what an order asks for, and the queue it is sent to."""


class ChordExecutor:
    """Sends the orders of one run and waits for their answers.

    Args:
        app: the Celery app.
        board: the run's board, of this session.
        supervisor: watches the jobs.
        facts: what every order of the run says: run, session, settings, data_digest.
        tell_progress: told how a round stands, at least once a second.
    """

    def __init__(
        self,
        app: Celery,
        board: JobBoard,
        supervisor: Supervisor,
        facts: dict[str, Any],
        tell_progress: Callable[[RoundProgress], None],
    ) -> None:
        self._app = app
        self._board = board
        self._supervisor = supervisor
        self._facts = facts
        self._tell_progress = tell_progress

    def start_run(self, *, resume: bool) -> dict[str, Any]:
        """Have the run made ready; returns {state, weights}."""
        return self._do(StartOrder(**self._facts, attempt=0, resume=resume))

    def finish_run(self) -> dict[str, Any]:
        """Have the best model tested and the models written; returns {test}."""
        return self._do(FinishOrder(**self._facts, attempt=0))

    def run_round(self, round_number: int, clients: list[int], weights: Reference) -> RoundResult:
        """Run one round: the chord of every client's training and the aggregation.

        Should the chord lose a part (a worker dies, a training fails), the missing part is sent
        again by itself and the aggregation is sent with the replies on the board, so the round ends.

        Raises:
            ClusterError: the round cannot be finished.
        """
        about_round: dict[str, Any] = {
            **self._facts,
            "attempt": 0,
            "round": round_number,
            "clients": clients,
            "weights": weights.to_message(),
            "sent_at": time.time(),
        }
        order = RoundOrder(**about_round)
        train_orders = [TrainOrder(**about_round, client=client) for client in clients]
        trainings = [self._job(train_order) for train_order in train_orders]
        self._board.expect({job.name: 0 for job in trainings} | {order.job: 0})
        self._send(lambda: self._send_chord(train_orders, order))

        def tell(answers: dict[str, Any], workers: Workers) -> None:
            self._tell_progress(RoundProgress(round_number, len(answers), len(clients), workers))

        replies = self._supervisor.supervise(trainings, self._mark_failed, tell)
        aggregation = self._job(order, [replies[job.name] for job in trainings])
        if any(job.attempt or job.failed for job in trainings):
            self._supervisor.send_again(aggregation)  # the chord has lost a part: it will not fire
        answers = self._supervisor.supervise(
            [aggregation], _refuse, lambda _, workers: tell(replies, workers)
        )
        self._board.forget([job.name for job in trainings] + [order.job])
        return RoundResult.from_message(answers[order.job])

    def _send_chord(self, train_orders: list[TrainOrder], order: RoundOrder) -> None:
        chord(
            [self._signature(train_order) for train_order in train_orders],
            app=self._app,
        )(self._signature(order))

    def _do(self, order: Order) -> dict[str, Any]:
        job = self._job(order)
        self._board.expect({job.name: 0})
        job.send(0, None)
        answer: dict[str, Any] = self._supervisor.supervise([job], _refuse)[job.name]
        self._board.forget([job.name])
        return answer

    def _job(self, order: Order, *arguments: Any) -> Job:
        def send(attempt: int, target: str | None) -> None:
            where = worker_direct(target) if target else None
            signature = self._signature(replace(order, attempt=attempt), *arguments)
            self._send(lambda: signature.apply_async(**({"queue": where} if where else {})))

        return Job(order.job, TASK_OF[type(order)][1], send)

    def _signature(self, order: Order, *arguments: Any) -> Any:
        task, queue = TASK_OF[type(order)]
        return self._app.signature(
            task, args=(*arguments, order.to_message()), queue=queue, task_id=str(uuid.uuid4())
        )

    def _send(self, send: Callable[[], Any]) -> None:
        """Send; what does not get through while Redis is away is found lost and sent again."""
        try:
            send()
        except OperationalError:
            return

    def _mark_failed(self, job: Job, error: str) -> None:
        _, round_number, client = job.name.split(":")
        reply = ClientReply(int(round_number), int(client), "", "failed", error)
        self._board.answer(job.name, job.attempt, reply.to_message())


def _refuse(job: Job, error: str) -> None:
    raise TaskFailed(f"{job.name} failed twice; the last time: {error}")
