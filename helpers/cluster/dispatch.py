"""How an order becomes a Celery message, and its answer comes back."""

import contextlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import redis
from celery import Celery
from celery.utils.nodenames import worker_direct
from kombu.exceptions import OperationalError

from helpers.cluster.job_board import JobBoard
from helpers.cluster.jobs import Deadline, Job
from helpers.cluster.keys import SITE_QUEUE
from helpers.cluster.supervision import Supervisor
from helpers.federated.messages import FinishOrder, Order, RoundOrder, StartOrder, TrainOrder
from helpers.federated.sites.messages import FinishSitesOrder, OfferOrder, RecordOrder, ScoreOrder

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
SENDING_POLICY = {"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5}
"""How Celery tries again while Redis is away: for about a second, as the supervisor has the patience."""
AWAY = (OperationalError, redis.RedisError, RuntimeError)
"""What Celery then raises; the last when it has tried often enough."""


class Dispatcher:
    """Sends orders by name through an app that is handed in.

    Args:
        app: the Celery app.
        board: where the answers come.
        supervisor: waits for them.
    """

    def __init__(self, app: Celery, board: JobBoard, supervisor: Supervisor) -> None:
        options = app.conf.result_backend_transport_options
        app.conf.result_backend_transport_options = {**options, "retry_policy": SENDING_POLICY}
        self._app = app
        self._board = board
        self._supervisor = supervisor

    def run_order(
        self, orders: Sequence[Order], on_failure: Callable[[Job, str], None], deadline: Deadline
    ) -> list[dict[str, Any]]:
        """Send orders and wait for their answers, one for each; see `Supervisor.supervise`.

        Raises:
            ClusterError: as `supervise`, and what `on_failure` and `deadline` raise.
        """
        retry_redis, jobs = self._supervisor.retry_redis, [self.job(order) for order in orders]
        retry_redis(lambda: self._board.expect({job.name: 0 for job in jobs}))
        for job in jobs:
            job.send(0, None)
        answers = self._supervisor.supervise(jobs, on_failure, deadline=deadline)
        retry_redis(lambda: self._board.forget([job.name for job in jobs]))
        return [answers[job.name] for job in jobs]

    def job(self, order: Order, *arguments: Any) -> Job:
        """What an order wants done, for the supervisor; its task is called with `arguments` first."""

        def send(attempt: int, target: str | None) -> None:
            where = worker_direct(target) if target else None
            signature = self.signature(replace(order, attempt=attempt), *arguments)
            self.send(lambda: signature.apply_async(**({"queue": where} if where else {})))

        return Job(order.job, _queue_of(order), send, site=order.site)

    def signature(self, order: Order, *arguments: Any) -> Any:
        """The Celery signature of an order's task."""
        return self._app.signature(
            TASK_OF[type(order)][0],
            args=(*arguments, order.to_message()),
            queue=_queue_of(order),
            task_id=str(uuid.uuid4()),
        )

    def send(self, send: Callable[[], Any]) -> None:
        """Send; what does not get through while Redis is away is found lost and sent again."""
        with contextlib.suppress(*AWAY):
            send()

    def forget_results(self, signatures: Sequence[Any]) -> None:
        """Delete what these tasks returned; while Redis is away, that is left to its time to live."""
        with contextlib.suppress(*AWAY):
            for signature in signatures:
                self._app.backend.forget(signature.id)


def _queue_of(order: Order) -> str:
    return SITE_QUEUE + order.site if order.site else TASK_OF[type(order)][1]
