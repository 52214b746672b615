"""Krum's scores and the conditions of the strategies that use them."""

import math

import numpy as np
import pytest

from helpers.federated.aggregation import CHUNK
from helpers.federated.quorum import QuorumError
from helpers.federated.strategies.krum_scores import order_by_score, squared_distances
from helpers.federated.weights import Weights
from tests.unit.helpers.federated.strategies.crowds import GENERATOR, MANY, flat, update
from tests.unit.helpers.federated.strategies.rounds import TRAINABLE, alike, make, server


def papers_order(updates: list[Weights], liars: int) -> list[int]:
    """Return the order of the scores as the paper states them, in plain numbers."""
    scores = []
    for mine in updates:
        distances = [
            math.fsum((float(a) - float(b)) ** 2 for a, b in zip(flat(mine), flat(other), strict=True))
            for other in updates
            if other is not mine
        ]
        scores.append(math.fsum(sorted(distances)[: len(updates) - liars - 2]))
    return sorted(range(len(updates)), key=scores.__getitem__)


@pytest.mark.parametrize("liars", [0, 1, 2])
def test_scores_are_the_papers(liars: int) -> None:
    assert order_by_score(MANY, TRAINABLE, liars) == papers_order(MANY, liars)


def test_distances_of_layers_of_more_than_one_block_and_strided_ones() -> None:
    size = 2 * CHUNK + 3
    arrays = [GENERATOR.standard_normal(2 * size).astype(np.float32)[::2] for _ in range(3)]
    expected = math.fsum((arrays[0].astype(np.float64) - arrays[2]) ** 2)
    distances = squared_distances([[array] for array in arrays], (True,))
    assert distances[0, 2] == pytest.approx(expected, rel=1e-12)


def test_moving_statistics_do_not_count_in_distances() -> None:
    near = [update(value, statistic=10.0**index) for index, value in enumerate([5, 1, 1.1, 1.2, 9])]
    assert order_by_score(near, TRAINABLE, 1)[0] == 2


def test_refuses_too_few_updates_and_unlike_ones() -> None:
    with pytest.raises(ValueError, match="1 malicious clients: needs 5 updates, not 4"):
        order_by_score(MANY[:4], TRAINABLE, 1)
    with pytest.raises(ValueError, match="differ"):
        order_by_score([update(1), update(1), update(1, 2)], TRAINABLE, 0)


@pytest.mark.parametrize("name", ["krum", "multi_krum"])
def test_a_round_needs_2f_plus_3_clients_and_updates(name: str) -> None:
    strategy = make(name, NUM_MALICIOUS=3)
    assert strategy.shortage(9) == ""
    assert strategy.shortage(8) == (
        f"NUM_MALICIOUS: received 3: STRATEGY={name} needs 2 · NUM_MALICIOUS + 3 = 9 clients, 8 take part in "
        "a round: lower it, or have more clients"
    )
    inputs = server(update(0), num_participants=9)
    strategy.aggregate(alike(*[update(1)] * 9), inputs)
    with pytest.raises(
        QuorumError, match=f"^8 usable updates of 9 clients; NUM_MALICIOUS=3: {name} needs 9. Lower"
    ):
        strategy.aggregate(alike(*[update(1)] * 8), inputs)
