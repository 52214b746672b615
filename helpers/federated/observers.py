"""Who is told what happens in a run; only observers print or draw."""

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
