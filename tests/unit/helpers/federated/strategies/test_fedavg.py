"""FedAvg: how much a client counts."""

import numpy as np
import pytest

from helpers.federated.strategies.base import Update
from tests.unit.helpers.federated.strategies.crowds import update
from tests.unit.helpers.federated.strategies.rounds import make, server


@pytest.mark.parametrize(("name", "mean"), [("fedavg", (1 * 10 + 4 * 30) / 40), ("fedavg_unweighted", 2.5)])
def test_counts_clients_by_examples_or_alike(name: str, mean: float) -> None:
    updates = [
        Update(update(1, statistic=1), num_examples=10, num_steps=9, num_rows=5),
        Update(update(4, statistic=4), num_examples=30, num_steps=1, num_rows=15),
    ]
    weights, state = make(name).aggregate(updates, server(update(100)))
    np.testing.assert_allclose([weights[0][0], weights[1][0]], [mean, mean], rtol=1e-7)
    assert state == []


@pytest.mark.parametrize("name", ["fedavg", "fedavg_unweighted"])
def test_asks_nothing_of_other_settings_and_of_clients(name: str) -> None:
    strategy = make(name)
    assert (strategy.check(), strategy.shortage(1), strategy.proximal_mu) == ("", "", 0)
    assert (strategy.client_state, strategy.reads) == ("", ())
