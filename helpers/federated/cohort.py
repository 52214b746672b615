"""Who takes part in a round, decided at its start."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from helpers.federated.messages import RunState
from helpers.federated.quorum import sample_size


@dataclass(frozen=True)
class Cohort:
    """Who takes part in a round.

    Attributes:
        num_clients: how many there are; unless they are sites, the training rows are divided among them.
        clients: ids of those that take part, ascending: the order their updates are summed in.
        sites: where every client is a site, what each tells of itself (Site messages), by id.
    """

    num_clients: int
    clients: list[int]
    sites: list[dict[str, Any]] = field(default_factory=list)


class CohortChooser:
    """Chooses the cohort of every round.

    Args:
        count_clients: how many clients there are; asked at the start of every round.
        clients_of: ids of those that may take part, by that number.
        fraction: part of them that does, in (0, 1].
        seed: of the drawing.
        notice: told when the number of clients differs from the round before.
    """

    def __init__(
        self,
        count_clients: Callable[[], int],
        clients_of: Callable[[int], list[int]],
        fraction: float,
        seed: int,
        notice: Callable[[str], None],
    ) -> None:
        self._count_clients = count_clients
        self._clients_of = clients_of
        self._fraction = fraction
        self._seed = seed
        self._notice = notice
        self._before: int | None = None

    def choose(self, state: RunState) -> Cohort:
        """The cohort of the round after `state`, which begins now."""
        round_number = state.round + 1
        count = self._count_clients()
        if self._before not in (None, count):
            self._notice(
                f"round {round_number}: {count} clients instead of {self._before}, a live worker each"
            )
        self._before = count
        clients = sample_clients(self._clients_of(count), self._fraction, self._seed, round_number)
        return Cohort(count, clients)


def sample_clients(clients: Sequence[int], fraction: float, seed: int, round_number: int) -> list[int]:
    """Draw the participants of a round without replacement (McMahan et al. 2017, algorithm 1).

    Args:
        clients: ids to draw from.
        fraction: C of the paper, in (0, 1]; at 1 all take part.
        seed, round_number: the same two give the same sample, whatever was drawn before.

    Returns:
        `sample_size` of the ids, ascending where `clients` are.
    """
    count = sample_size(len(clients), fraction)
    if count == len(clients):
        return list(clients)
    # With a spawn key, as numpy takes (a, b) and (a, b, 0) for the same: it would be client 0's generator.
    sequence = np.random.SeedSequence([seed, round_number], spawn_key=(0,))
    chosen = np.random.default_rng(sequence).choice(len(clients), size=count, replace=False)
    return sorted(clients[index] for index in chosen)
