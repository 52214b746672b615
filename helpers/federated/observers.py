"""Observers: objects notified of the events of a run. Only observers print or draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from helpers.federated.results import RoundResult, RunState


@dataclass(frozen=True)
class RoundProgress:
    """Progress of the current round.

    Attributes:
        round: its number, from 1.
        replied, clients: number of clients that have replied, and of all that take part.
        workers: the status that each live worker reports, by its name.
    """

    round: int
    replied: int
    clients: int
    workers: Mapping[str, Mapping[str, Any]]


class Observer:
    """Base class of observers; override the methods you need.

    Methods are called in the orchestrator, between its own steps: the run waits for them.
    """

    def run_started(self, run: str, state: RunState, rounds: int) -> None:
        """The run begins or resumes after round `state.round`, of `rounds` in all."""

    def round_started(self, round_number: int, clients: list[int]) -> None:
        """A round was dispatched to these clients."""

    def progress(self, progress: RoundProgress) -> None:
        """Called about once a second during a round."""

    def round_finished(self, result: RoundResult) -> None:
        """A round was committed; `metrics` is its row of rounds.csv, `clients` its rows of clients.csv."""

    def notice(self, text: str) -> None:
        """An event a person should know of, such as a lost worker or a failed client."""

    def close(self) -> None:
        """The session is over, also after an error; no call follows."""


EVENTS = tuple(name for name in vars(Observer) if not name.startswith("_"))


class Observers(Observer):
    """Several observers as one: passes every call on to each, in order."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        for event in EVENTS:
            setattr(self, event, partial(self._pass_on, [getattr(each, event) for each in observers]))

    @staticmethod
    def _pass_on(methods: Sequence[Any], *arguments: Any) -> None:
        for method in methods:
            method(*arguments)
