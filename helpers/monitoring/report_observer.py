"""Observer that keeps report.html up to date during a run."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from helpers.federated.observers import Observer
from helpers.federated.results import RoundResult, RunState

logger = logging.getLogger(__name__)


class ReportObserver(Observer):
    """Writes the report after every round, in a thread, so that the next round does not wait.

    After each report there is a pause, so that short rounds keep the processors. Rounds that end during a
    report or a pause share the next report. When the session ends, also after an error, a last report is
    written that shows the run as finished or stopped.

    Args:
        write: writes the report from the run's files; its argument says whether the run continues.
        share: largest part of the time that is spent writing.
    """

    def __init__(self, write: Callable[[bool], object], share: float = 0.1) -> None:
        self._write = write
        self._share = share
        self._due = 0.0  # when the pause ends, on `time.monotonic()`
        self._is_waiting = False  # whether a report will be written after the pause
        self._closing = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="report")
        self._latest: Future[None] | None = None

    def run_started(self, run: str, state: RunState, rounds: int) -> None:
        self._request()

    def round_finished(self, result: RoundResult) -> None:
        self._request()

    def close(self) -> None:
        self._closing.set()
        self._thread.shutdown(cancel_futures=True)
        if self._latest is not None:  # the run has begun, so the folder belongs to it
            self._try(is_running=False)

    def _request(self) -> None:
        """Queue a report, unless one is waiting already: it will read the same files."""
        if not self._is_waiting:
            self._is_waiting = True
            self._latest = self._thread.submit(self._write_after_pause)

    def _write_after_pause(self) -> None:
        if not self._closing.wait(max(0.0, self._due - time.monotonic())):
            self._is_waiting = False
            self._try(is_running=True)

    def _try(self, *, is_running: bool) -> None:
        began = time.monotonic()
        try:
            self._write(is_running)
        except Exception:  # a failed picture must not end a training
            logger.exception("the report could not be written")
        ended = time.monotonic()
        self._due = ended + (ended - began) * (1 / self._share - 1)
