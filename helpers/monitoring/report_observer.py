"""Keeps report.html current while a run lasts."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from helpers.federated.messages import RoundResult, RunState
from helpers.federated.observers import RoundProgress

logger = logging.getLogger(__name__)


class ReportObserver:
    """Writes the report after every round, in a thread, so that the next round need not wait.

    Args:
        write: writes the report from the run's files.
    """

    def __init__(self, write: Callable[[], object]) -> None:
        self._write = write
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="report")

    def run_started(self, run: str, state: RunState, rounds: int) -> None: ...

    def round_started(self, round_number: int, clients: list[int]) -> None: ...

    def progress(self, progress: RoundProgress) -> None: ...

    def round_finished(self, result: RoundResult) -> None:
        self._thread.submit(self._try)

    def notice(self, text: str) -> None: ...

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)

    def _try(self) -> None:
        try:
            self._write()
        except Exception:  # a picture that fails must not end a training
            logger.exception("the report could not be written")
