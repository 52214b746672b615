"""Dispatch of orders: each becomes a Celery message, and its answer comes back through the job board."""

import contextlib
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import redis
from celery import Celery
from celery.utils.nodenames import worker_direct
from kombu.exceptions import OperationalError

from helpers.cluster.answers import any_answer, reading_answer
from helpers.cluster.errors import TaskFailed
from helpers.cluster.job_board import JobBoard
from helpers.cluster.jobs import Deadline, Job
from helpers.cluster.keys import LIFETIME_S, SITE_QUEUE
from helpers.cluster.supervision import Supervisor
from helpers.cluster.worker_status import Workers
from helpers.federated.messages import Order

SENDING_POLICY = {"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5}
"""Celery's own retries while Redis does not answer, about a second: the supervisor does the waiting."""
AWAY = (OperationalError, redis.RedisError, RuntimeError, AttributeError, OSError)
"""What Celery raises then: RuntimeError after its last retry, AttributeError for a channel that was reset."""


class Dispatcher:
    """Sends orders by name.

    Args:
        app: the Celery app.
        board: where the answers arrive.
        supervisor: waits for them.
        deadline_s: limit of a single order, seconds.
    """

    shows_orders = True  # to everybody who can read Redis

    def __init__(self, app: Celery, board: JobBoard, supervisor: Supervisor, deadline_s: float) -> None:
        options = app.conf.result_backend_transport_options
        app.conf.result_backend_transport_options = {**options, "retry_policy": SENDING_POLICY}
        # Answers come over the job board, so no result is waited for. Celery would keep each in memory and
        # subscribe to it; nobody reads what Redis sends to these subscriptions.
        app.backend.add_pending_result = lambda result, **_: result
        app.backend.on_task_call = lambda producer, task_id: None
        self._app = app
        self._board = board
        self._supervisor = supervisor
        self._deadline_s = deadline_s

    def run_order(self, order: Order, check: Callable[[dict[str, Any]], None] = any_answer) -> dict[str, Any]:
        """Send an order and return its answer, once `check` has accepted its form.

        Raises:
            ClusterError: as `supervise`; TaskFailed if it failed twice, took too long or cannot be read.
        """
        (answer,) = self.run_orders([order], raise_failure, self.deadline())
        with reading_answer(order):
            check(answer)
        return answer

    def deadline(self) -> Deadline:
        """Return the deadline of a single order that is sent now."""
        return Deadline(time.monotonic() + self._deadline_s, self._raise_too_late)

    def _raise_too_late(self, job: Job) -> None:
        where = f"on {job.runner}" if job.runner else f"in the queue {job.queue}, which no free worker serves"
        raise TaskFailed(f"{job.label}: no answer within {self._deadline_s:g} s; it is {where}")

    def run_orders(
        self,
        orders: Sequence[Order],
        on_failure: Callable[[Job, str], None],
        deadline: Deadline,
        on_progress: Callable[[dict[str, Any], Workers], None] = lambda answers, workers: None,
    ) -> list[dict[str, Any]]:
        """Send orders, wait for them and return their answers, one each; see `Supervisor.supervise`.

        Raises:
            ClusterError: as `supervise`, and what `on_failure` and `deadline` raise.
        """
        retry_redis, jobs = self._supervisor.retry_redis, [self.job(order) for order in orders]
        retry_redis(lambda: self._board.expect({job.name: 0 for job in jobs}))
        for job in jobs:
            job.send(0, job.target)
        answers = self._supervisor.supervise(jobs, on_failure, on_progress, deadline)
        retry_redis(lambda: self._board.forget([job.name for job in jobs]))
        return [answers[job.name] for job in jobs]

    def job(self, order: Order, *arguments: Any) -> Job:
        """Return the job of an order; `arguments` come first in the call of its task."""

        def send(attempt: int, target: str | None) -> None:
            where = _own_queue(target) if target and not order.site else None  # a site has one queue
            signature = self.signature(replace(order, attempt=attempt), *arguments)
            self.send(lambda: signature.apply_async(**({"queue": where} if where else {})))

        queue = _queue_of(order)
        workers = self._supervisor.workers
        target = workers.target(queue) if workers.unable else None
        return Job(order.job, order.label, queue, send, site=order.site, target=target)

    def signature(self, order: Order, *arguments: Any) -> Any:
        """Return the Celery signature of an order's task."""
        return self._app.signature(
            order.task,
            args=(*arguments, order.to_message()),
            queue=_queue_of(order),
            task_id=str(uuid.uuid4()),
            argsrepr=f"({order.label if self.shows_orders else ''})",  # in `celery inspect` and flower
        )

    def send(self, send: Callable[[], Any]) -> None:
        """Send; a message that does not get through while Redis is away is found lost and sent again."""
        with contextlib.suppress(*AWAY):
            send()

    def forget_results(self, signatures: Sequence[Any]) -> None:
        """Delete the results of these tasks; while Redis is away, they expire by themselves."""
        with contextlib.suppress(*AWAY):
            for signature in signatures:
                self._app.backend.forget(signature.id)


def raise_failure(job: Job, error: str) -> None:
    """Raise TaskFailed for a job that failed twice or was lost too often."""
    how = "failed twice; the last time" if job.failed > 1 else "gave up"
    raise TaskFailed(f"{job.label}: {how}: {error}")


def _own_queue(worker: str) -> Any:
    """Return the queue of one worker; without an end, a killed worker's messages would stay in Redis."""
    queue = worker_direct(worker)
    queue.expires = LIFETIME_S
    return queue


def _queue_of(order: Order) -> str:
    return SITE_QUEUE + order.site if order.site else order.queue
