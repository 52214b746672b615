"""Who takes part in a round, decided at its start."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from helpers.federated.quorum import sample_size


@dataclass(frozen=True)
class Cohort:
    """Who takes part in a round.

    Attributes:
        num_clients: how many the training rows are divided among.
        clients: ids of those that take part, ascending: the order their updates are summed in.
    """

    num_clients: int
    clients: list[int]


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

    def choose(self, round_number: int) -> Cohort:
        """The cohort of a round that begins now."""
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
