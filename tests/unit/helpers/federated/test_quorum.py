"""The number of usable replies that a round needs."""

import pytest

from helpers.federated.quorum import clients_needed


@pytest.mark.parametrize(
    ("min_clients", "num_clients", "needed"),
    [(0.5, 3, 2), (0.5, 4, 2), (0.01, 3, 1), (0.99, 3, 3), (1, 3, 1), (2, 3, 2), (9, 3, 3)],
)
def test_quorum(min_clients: float, num_clients: int, needed: int) -> None:
    assert clients_needed(min_clients, num_clients) == needed
