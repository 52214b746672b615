"""Observer that keeps report.html up to date during a run."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from helpers.federated.observers import Observer
from helpers.federated.results import RoundResult, RunState

logger = logging.getLogger(__name__)


class ReportObserver(Observer):
    """Writes the report after every round, in a thread, so that the next round does not wait.

    Rounds that end while a report is being written share the next one. When the session ends, also after
    an error, a last report is written that shows the run as finished or stopped.

    Args:
        write: writes the report from the run's files; its argument says whether the run continues.
    """

    def __init__(self, write: Callable[[bool], object]) -> None:
        self._write = write
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="report")
        self._latest: Future[None] | None = None

    def run_started(self, run: str, state: RunState, rounds: int) -> None:
        self._request()

    def round_finished(self, result: RoundResult) -> None:
        self._request()

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)
        if self._latest is not None:  # the run has begun, so the folder belongs to it
            self._try(is_running=False)

    def _request(self) -> None:
        """Queue a report, unless one is waiting already: it will read the same files."""
        if self._latest is None or self._latest.running() or self._latest.done():
            self._latest = self._thread.submit(self._try, is_running=True)

    def _try(self, *, is_running: bool) -> None:
        try:
            self._write(is_running)
        except Exception:  # a failed picture must not end a training
            logger.exception("the report could not be written")
