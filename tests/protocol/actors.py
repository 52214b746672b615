"""Processes of the protocol's model: threads of which one runs at a time, from one step to the next."""

import threading
from collections.abc import Callable
from typing import Any

_current = threading.local()


class Killed(BaseException):
    """The process was killed; nothing that it does after this has an effect."""


class Actor:
    """A process that stops before each of its steps.

    Attributes:
        wake_at: virtual time before which it sleeps.
        is_stalled: whether it is stopped, as by SIGSTOP.
        is_done: whether it has ended.
        file_steps: how many operations on files it has come to.
        error: what ended it, if an exception did.
    """

    def __init__(self, name: str, run: Callable[[], Any]) -> None:
        self.name = name
        self.wake_at = 0.0
        self.is_stalled = False
        self.is_done = False
        self.is_killed = False
        self.file_steps = 0
        self.error: BaseException | None = None
        self._run = run
        self._go, self._back = threading.Lock(), threading.Lock()  # each is released to pass a turn
        self._go.acquire()
        self._back.acquire()
        threading.Thread(target=self._main, daemon=True).start()

    def _main(self) -> None:
        _current.actor = self
        self._go.acquire()
        try:
            if not self.is_killed:
                self._run()
        except Killed:
            pass
        except Exception as error:  # noqa: BLE001 (judged by World.check)
            self.error = error
        finally:
            self.is_done = True
            self._back.release()

    @property
    def is_blocked(self) -> bool:
        """Whether it does no step until something happens to it."""
        return self.is_done or self.is_stalled

    def step(self) -> None:
        """Let it run to its next step."""
        if not self.is_done:
            self._go.release()
            self._back.acquire()

    def kill(self) -> None:
        self.is_killed = True
        while not self.is_done:
            self.step()

    def pause(self, step: str = "") -> None:
        self.file_steps += step == "file"
        if not self.is_killed:
            self._back.release()
            self._go.acquire()
        if self.is_killed:
            raise Killed


def current() -> Actor | None:
    return getattr(_current, "actor", None)


def pause(step: str = "") -> None:
    """Stop before a step of the process that runs this, if it is one of the model."""
    if actor := current():
        actor.pause(step)


def as_step(function: Callable[..., Any], step: str = "") -> Callable[..., Any]:
    """Return the function as a step of the process that calls it, which may be stopped before it."""

    def operation(*arguments: Any, **options: Any) -> Any:
        pause(step)
        return function(*arguments, **options)

    return operation
