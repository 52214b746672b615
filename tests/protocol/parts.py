"""Parts of the project's orchestrator, as the protocol's model uses them."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from helpers.cluster.dispatch import Dispatcher
from helpers.cluster.job_board import JobBoard
from helpers.cluster.jobs import Job
from helpers.cluster.run_clock import RunClock
from helpers.cluster.supervision import Supervisor
from helpers.federated.messages import Order


class ModelBoard(JobBoard):
    """Job board that reports each time its session holds the run.

    Args:
        client, run, session: as for JobBoard.
        note_claim: called with the session, empty when it ends, and whether it may take the run by force.
    """

    def __init__(self, client: Any, run: str, session: str, note_claim: Callable[[str, bool], None]) -> None:
        super().__init__(client, run, session)
        self._note_claim = note_claim

    def _claim(self, force: bool) -> float | None:
        held_ago = super()._claim(force)
        if held_ago is None:
            self._note_claim(self._session, force)
        return held_ago

    def hold(self) -> bool:
        was_held = super().hold()
        self._note_claim(self._session, True)
        return was_held

    def close(self) -> None:
        self._note_claim("", True)
        super().close()


class ModelClock(RunClock):
    """Clock of a run, which knows what it has shared.

    Attributes:
        clock_ahead: of the orchestrator.
        shared: the run's time when it was last shared.
    """

    clock_ahead = shared = 0.0

    def tick(self) -> float:
        self.shared = super().tick()
        return self.shared


class ModelDispatcher(Dispatcher):
    """Dispatcher that puts messages into lists of Redis, one per queue and worker, without Celery."""

    def __init__(self, board: JobBoard, supervisor: Supervisor, put: Callable[[str, str], None]) -> None:
        conf = SimpleNamespace(result_backend_transport_options={})
        app: Any = SimpleNamespace(conf=conf, backend=SimpleNamespace(result_consumer=SimpleNamespace()))
        super().__init__(app, board, supervisor, 200.0)
        self._put = put

    def job(self, order: Order, *arguments: Any) -> Job:
        def send(attempt: int, target: str | None) -> None:
            message = [order.job.partition(":")[0], replace(order, attempt=attempt).to_message()]
            self.send(lambda: self._put(target or order.queue, json.dumps(message)))

        return Job(order.job, order.label, order.queue, send, sent_at=time.monotonic())
