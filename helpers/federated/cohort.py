"""The cohort of a round: which clients take part, decided at its start."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.federated.noise import drawn
from helpers.federated.quorum import sample_size
from helpers.federated.results import RunState


@dataclass(frozen=True)
class Cohort:
    """Participants of a round.

    Attributes:
        num_clients: all clients; unless they are sites, the training rows are divided among them.
        clients: ids of the participants, ascending: the order in which their updates are summed.
        sites: where every client is a site, their Site messages by id.
    """

    num_clients: int
    clients: list[int]
    sites: list[dict[str, Any]] = field(default_factory=list)


class CohortChooser:
    """Chooses the cohort of every round.

    Args:
        count_clients: returns how many clients there are; called at the start of every round.
        clients_of: returns the ids that may take part, given that number.
        fraction: fraction of them that takes part, in (0, 1].
        seed: of the sampling.
        notice: receives a line when the number of clients differs from the round before.
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
        """Return the cohort of the round after `state`."""
        round_number = state.round + 1
        count = self._count_clients()
        if self._before not in (None, count):
            self._notice(
                f"round {round_number}: {count} clients instead of {self._before}, one for each live worker"
            )
        self._before = count
        clients = sample_clients(self._clients_of(count), self._fraction, self._seed, round_number)
        return Cohort(count, clients)


class PoissonChooser(CohortChooser):
    """Chooses each client with the same probability, on its own, which differential privacy of clients needs.

    Args:
        draw: returns for each of a number of clients whether it takes part, given the probability.
        **options: of CohortChooser. Nobody can know the sample in advance: `seed` does not decide it.
    """

    def __init__(self, *, draw: Callable[[int, float], NDArray[np.bool_]] = drawn, **options: Any) -> None:
        super().__init__(**options | {"fraction": 1.0})
        self._rate = options["fraction"]
        self._draw = draw

    def choose(self, state: RunState) -> Cohort:
        """Return the cohort of the round after `state`."""
        cohort = super().choose(state)
        is_drawn = self._draw(len(cohort.clients), self._rate)
        clients = [client for client, takes_part in zip(cohort.clients, is_drawn, strict=True) if takes_part]
        return replace(cohort, clients=clients)


def sample_clients(clients: Sequence[int], fraction: float, seed: int, round_number: int) -> list[int]:
    """Return the participants of a round, sampled without replacement (McMahan et al. 2017, Algorithm 1).

    Args:
        clients: ids to sample from.
        fraction: C of the paper, in (0, 1]; at 1 all take part.
        seed, round_number: the same two give the same sample, whatever was sampled before.

    Returns:
        `sample_size` of the ids, ascending where `clients` are.
    """
    count = sample_size(len(clients), fraction)
    if count == len(clients):
        return list(clients)
    # NumPy treats the entropies (a, b) and (a, b, 0) as equal: without a spawn key this would be client 0's
    # generator.
    sequence = np.random.SeedSequence([seed, round_number], spawn_key=(0,))
    chosen = np.random.default_rng(sequence).choice(len(clients), size=count, replace=False)
    return sorted(clients[index] for index in chosen)
