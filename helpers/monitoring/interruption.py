"""Handling of Ctrl-C: once stops after the current round, twice stops immediately."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interruption:
    """A request to stop the run.

    Args:
        notice: called with a message that says what will happen.

    Attributes:
        is_asked_for: Ctrl-C was pressed during a round.
    """

    def __init__(self, notice: Callable[[str], None]) -> None:
        self.is_asked_for = False
        self._notice = notice

    @contextmanager
    def finishing_the_round(self) -> Iterator[None]:
        """Inside this context the first Ctrl-C only sets `is_asked_for`. SIGTERM counts as two."""
        previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        signal.signal(signal.SIGINT, self._ask)
        signal.signal(signal.SIGTERM, self._leave)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> Any:
        if self.is_asked_for:
            self._leave(number, frame)
        self.is_asked_for = True
        self._notice("stopping after this round; press Ctrl-C again to stop now and discard the round")

    def _leave(self, number: int, frame: FrameType | None) -> Any:
        raise KeyboardInterrupt
