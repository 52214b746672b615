"""Handling of Ctrl-C, once: stops after the current round, as `run.py stop` does; twice: stops at once."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interruption:
    """A request to stop the run.

    Args:
        notice: called with a message that says what will happen.
        is_asked_elsewhere: returns whether another process asked for it.
    """

    def __init__(self, notice: Callable[[str], None], is_asked_elsewhere: Callable[[], bool]) -> None:
        self._has_pressed = False  # Ctrl-C, during a round
        self._notice = notice
        self._is_asked_elsewhere = is_asked_elsewhere

    def is_asked_to_stop(self) -> bool:
        """Return whether the run should end after the round that has just finished."""
        if not self._has_pressed and self._is_asked_elsewhere():
            self._notice("stopping after this round, as `run.py stop` asked")
            return True
        return self._has_pressed

    @contextmanager
    def finishing_the_round(self) -> Iterator[None]:
        """Inside this context the first Ctrl-C only asks for the end of the run. SIGTERM counts as two."""
        previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        signal.signal(signal.SIGINT, self._ask)
        signal.signal(signal.SIGTERM, self._leave)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> Any:
        if self._has_pressed:
            self._leave(number, frame)
        self._has_pressed = True
        self._notice("stopping after this round; press Ctrl-C again to stop now and discard the round")

    def _leave(self, number: int, frame: FrameType | None) -> Any:
        raise KeyboardInterrupt
