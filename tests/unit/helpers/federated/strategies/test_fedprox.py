"""FedProx at the server: FedAvg. Its client is tested with the trainer."""

from helpers.federated.strategies.base import Update
from tests.unit.helpers.federated.strategies.crowds import update
from tests.unit.helpers.federated.strategies.rounds import make, server


def test_the_server_averages_as_fedavg_and_clients_receive_mu() -> None:
    updates = [Update(update(1), 7, 9, 7), Update(update(4), 30, 1, 30)]
    strategy = make("fedprox", PROXIMAL_MU=0.3)
    weights, state = strategy.aggregate(updates, server(update(9)))
    mean, _ = make("fedavg").aggregate(updates, server(update(9)))
    assert (weights[0].tolist(), weights[1].tolist(), state) == (mean[0].tolist(), mean[1].tolist(), [])
    assert (strategy.proximal_mu, strategy.client_state) == (0.3, "")
