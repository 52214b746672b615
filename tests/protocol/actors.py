"""Processes of the protocol's model: greenlets of which one runs at a time, from one step to the next."""

from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet


class Killed(BaseException):
    """The process was killed; nothing that it does after this has an effect."""


class Actor:
    """A process that stops before each of its steps.

    Attributes:
        clock_ahead: seconds by which its monotonic clock is ahead of the time of the world.
        wake_at: virtual time before which it sleeps.
        is_stalled: whether it is stopped, as by SIGSTOP.
        next_step: what it does next: an operation on files, `train`, or empty for a command of Redis.
        file_steps: how many operations on files it has come to.
        error: what ended it, if an exception did.
    """

    def __init__(self, name: str, run: Callable[[], Any], clock_ahead: float = 0.0) -> None:
        self.name = name
        self.clock_ahead = clock_ahead
        self.wake_at = 0.0
        self.is_stalled = False
        self.is_killed = False
        self.next_step = ""
        self.file_steps = 0
        self.error: BaseException | None = None
        self._run = run
        self._greenlet = _Process(self)

    def main(self) -> None:
        try:
            if not self.is_killed:
                self._run()
        except Killed:
            pass
        except Exception as error:  # noqa: BLE001 (judged by World.check)
            self.error = error

    @property
    def is_blocked(self) -> bool:
        """Whether it does no step until something happens to it."""
        return self.is_stalled or self._greenlet.dead

    def step(self) -> None:
        """Let it run to its next step."""
        if not self._greenlet.dead:
            self._greenlet.parent = getcurrent()
            self._greenlet.switch()

    def kill(self) -> None:
        self.is_killed = True
        while not self._greenlet.dead:
            self.step()

    def pause(self, step: str = "", is_file: bool = False) -> None:
        self.next_step = step
        self.file_steps += is_file
        if not self.is_killed:
            self._greenlet.parent.switch()
        if self.is_killed:
            raise Killed


class _Process(greenlet):
    def __init__(self, actor: Actor) -> None:
        super().__init__(actor.main)
        self.actor = actor


def current() -> Actor | None:
    return getattr(getcurrent(), "actor", None)


def pause(step: str = "", is_file: bool = False) -> None:
    """Stop before a step of the process that runs this, if it is one of the model."""
    if actor := current():
        actor.pause(step, is_file)


def as_file_step(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function as a step of the process that calls it, which may be stopped before it."""

    def operation(*arguments: Any, **options: Any) -> Any:
        pause(function.__name__, is_file=True)
        return function(*arguments, **options)

    return operation
