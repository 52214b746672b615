"""One thing a run needs done, as the supervisor follows it; and the end of waiting for it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Job:
    """One thing a run needs done.

    Attributes:
        name: its name on the board.
        queue: where `send` puts it unless it is told a worker.
        send: sends an attempt; arguments are the attempt's number and a worker's name or None.
        attempt: the current attempt.
        failed: how many attempts went wrong.
        lost: how many attempts were lost.
        sent_at: when the current attempt was sent, on `time.monotonic()`.
        queued_at: when it may last have been in its queue, on the same clock.
        target: the worker it was sent to; None for any that serves the queue.
        runner: the worker that showed it.
        site: the site that alone can do it; empty where any worker of the queue can.
        was_waited_for: it was said that nobody takes it.
        was_answered_for: the answer is not a worker's.
    """

    name: str
    queue: str
    send: Callable[[int, str | None], None]
    attempt: int = 0
    failed: int = 0
    lost: int = 0
    sent_at: float = field(default_factory=time.monotonic)
    queued_at: float = 0.0
    target: str | None = None
    runner: str | None = None
    site: str = ""
    was_waited_for: bool = False
    was_answered_for: bool = False


@dataclass(frozen=True)
class Deadline:
    """The end of waiting.

    Attributes:
        at: when, on `time.monotonic()`.
        close: called with every job that has no answer by then; gives one in its place.
    """

    at: float
    close: Callable[[Job], None]

    def seconds_left(self, at_most: float) -> float:
        """Time to the deadline, seconds, at least a hundredth (0 would mean for ever to Redis)."""
        return max(0.01, min(at_most, self.at - time.monotonic()))
