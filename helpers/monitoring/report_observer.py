"""Keeps report.html current while a run lasts."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from helpers.federated.messages import RoundResult, RunState
from helpers.federated.observers import RoundProgress

logger = logging.getLogger(__name__)


class ReportObserver:
    """Writes the report after every round, in a thread, so that the next round need not wait.

    Rounds that end while a report is being written share the one after it. At the end of the session,
    however it ends, a last one is written: of a run that no longer runs.

    Args:
        write: writes the report from the run's files; told whether the run still goes on.
    """

    def __init__(self, write: Callable[[bool], object]) -> None:
        self._write = write
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="report")
        self._latest: Future[None] | None = None

    def run_started(self, run: str, state: RunState, rounds: int) -> None:
        self._ask()

    def round_started(self, round_number: int, clients: list[int]) -> None: ...

    def progress(self, progress: RoundProgress) -> None: ...

    def round_finished(self, result: RoundResult) -> None:
        self._ask()

    def notice(self, text: str) -> None: ...

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)
        if self._latest is not None:  # the run had begun: its folder is its own
            self._try(is_running=False)

    def _ask(self) -> None:
        """Have a report written of the files as they are now; one that waits its turn will do."""
        if self._latest is None or self._latest.running() or self._latest.done():
            self._latest = self._thread.submit(self._try, is_running=True)

    def _try(self, *, is_running: bool) -> None:
        try:
            self._write(is_running)
        except Exception:  # a picture that fails must not end a training
            logger.exception("the report could not be written")
