"""The number of usable replies that a round needs."""

import pytest

from helpers.federated.quorum import clients_needed, two_thirds


@pytest.mark.parametrize(
    ("min_clients", "num_clients", "needed"),
    [(0.5, 3, 2), (0.5, 4, 2), (0.01, 3, 1), (0.99, 3, 3), (1, 3, 1), (2, 3, 2), (9, 3, 3)],
)
def test_quorum(min_clients: float, num_clients: int, needed: int) -> None:
    assert clients_needed(min_clients, num_clients) == needed


def test_a_secure_aggregation_needs_two_thirds_and_at_least_two() -> None:
    assert [two_thirds(number) for number in (1, 2, 3, 4, 5, 6, 9, 10, 30)] == [2, 2, 2, 3, 4, 4, 6, 7, 20]
