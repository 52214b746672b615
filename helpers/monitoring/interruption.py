"""Ctrl-C: once to stop after the round, twice to stop at once."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interruption:
    """What the person at the terminal asked for.

    Args:
        notice: told in words what will happen.

    Attributes:
        is_asked_for: Ctrl-C was pressed while a round went on.
    """

    def __init__(self, notice: Callable[[str], None]) -> None:
        self.is_asked_for = False
        self._notice = notice

    @contextmanager
    def finishing_the_round(self) -> Iterator[None]:
        """While this lasts, the first Ctrl-C only sets `is_asked_for`; SIGTERM is a Ctrl-C pressed twice."""
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
        self._notice("stopping after this round; Ctrl-C again stops at once and leaves the round undone")

    def _leave(self, number: int, frame: FrameType | None) -> Any:
        raise KeyboardInterrupt
