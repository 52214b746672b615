"""Who is told what happens in a run; only observers print or draw."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from helpers.federated.messages import RoundResult, RunState


@dataclass(frozen=True)
class RoundProgress:
    """How a round stands.

    Attributes:
        round: its number.
        replied, clients: how many clients have replied, of how many.
        workers: what every live worker shows, by name.
    """

    round: int
    replied: int
    clients: int
    workers: dict[str, dict[str, Any]]


class Observer(Protocol):
    """Told of a run, in order."""

    def run_started(self, run: str, state: RunState, rounds: int) -> None: ...

    def round_started(self, round_number: int, clients: list[int]) -> None: ...

    def progress(self, progress: RoundProgress) -> None: ...

    def round_finished(self, result: RoundResult) -> None: ...

    def notice(self, text: str) -> None:
        """Something a person should know: a worker lost, a client failed, waiting for something."""

    def close(self) -> None:
        """Nothing more will come; also called after an error."""


class Observers:
    """Several observers as one; each is told in turn."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def run_started(self, run: str, state: RunState, rounds: int) -> None:
        for observer in self._observers:
            observer.run_started(run, state, rounds)

    def round_started(self, round_number: int, clients: list[int]) -> None:
        for observer in self._observers:
            observer.round_started(round_number, clients)

    def progress(self, progress: RoundProgress) -> None:
        for observer in self._observers:
            observer.progress(progress)

    def round_finished(self, result: RoundResult) -> None:
        for observer in self._observers:
            observer.round_finished(result)

    def notice(self, text: str) -> None:
        for observer in self._observers:
            observer.notice(text)

    def close(self) -> None:
        for observer in self._observers:
            observer.close()
