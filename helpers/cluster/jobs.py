"""A job (one unit of work, such as a client's training), as the supervisor follows it, and its deadline."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Job:
    """A unit of work, such as a client's training.

    Attributes:
        name: its name on the board.
        label: its name in messages to people, such as `round 1, client 2`.
        queue: where `send` puts it unless a worker is given.
        send: sends an attempt, given its number and a worker's name or None.
        site: the only site that can do it; empty where any worker of the queue can.
        attempt: number of the current attempt.
        failed, lost: how many attempts failed, and were lost.
        sent_at: when the current attempt was sent, on `time.monotonic()`.
        queued_at: when it was last seen waiting in its queue, on the same clock.
        target: the worker it was sent to; None for any that serves the queue.
        runner: the worker whose heartbeat showed it.
        was_waited_for: whether a notice said that no worker takes it.
        was_answered_for: whether the orchestrator answered in place of a worker.
    """

    name: str
    label: str
    queue: str
    send: Callable[[int, str | None], None]
    site: str = ""
    attempt: int = 0
    failed: int = 0
    lost: int = 0
    sent_at: float = field(default_factory=time.monotonic)
    queued_at: float = 0.0
    target: str | None = None
    runner: str | None = None
    was_waited_for: bool = False
    was_answered_for: bool = False


@dataclass(frozen=True)
class Deadline:
    """The end of waiting for jobs.

    Attributes:
        at: when, on `time.monotonic()`.
        close: called with every job that has no answer by then; it answers in its place or raises.
    """

    at: float
    close: Callable[[Job], None]
