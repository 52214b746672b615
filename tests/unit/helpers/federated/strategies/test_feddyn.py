"""FedDyn: by hand, its sums, and convergence to the optimum of all clients, where FedAvg ends elsewhere."""

from typing import Any

import numpy as np
import pytest

from helpers.federated.strategies import Strategy
from helpers.federated.strategies.base import Update
from helpers.federated.weights import SchemaError, Weights
from tests.unit.helpers.federated.strategies.crowds import update
from tests.unit.helpers.federated.strategies.rounds import alike, make, server

ALPHA = 0.5


def dynamic(alpha: float = ALPHA, **settings: Any) -> Strategy:
    return make("feddyn", DYNAMIC_ALPHA=alpha, **settings)


def test_the_first_round_by_hand() -> None:
    # w₀ = 1; two of four clients end at 2 and 4: Δ = 2. s = −.5 · 2 · 2 = −2, h = s / 4 = −.5.
    weights, state = dynamic().aggregate(
        [Update(update(2, statistic=1), 10, 9, 5), Update(update(4, statistic=2), 30, 1, 15)],
        server(update(1), num_clients=4, num_participants=3),
    )
    assert (weights[0].tolist(), state[0].tolist()) == ([3 + 0.5 / ALPHA], [-2])
    assert weights[1].tolist() == [1.5]


def test_a_client_by_hand() -> None:
    began, ended = [np.array([1.0, 1.0], np.float32)], [np.array([2.0, -1.0], np.float32)]
    own = [np.array([3.0, 0.5], np.float32)]
    strategy = dynamic()
    assert strategy.proximal_mu == ALPHA
    assert strategy.gradient_term(own, [])[0].tolist() == [-3, -0.5]
    (after,) = strategy.next_client_state(own, [], began, ended, num_steps=7, learning_rate=0.5)
    assert after.tolist() == [2.5, 1.5]
    assert after.dtype == np.float32


CLIENTS = 6
GENERATOR = np.random.default_rng(7)
CURVATURES = GENERATOR.uniform(0.2, 3, (CLIENTS, 3))
OPTIMA = GENERATOR.normal(size=(CLIENTS, 3)) * 4
OPTIMUM = (CURVATURES * OPTIMA).sum(axis=0) / CURVATURES.sum(axis=0)
"""Where the mean of the losses Σ_j a_kj (x_j − e_kj)² / 2 is least."""


class Simulation:
    """Clients with quadratic losses, of which some take part in a round.

    Attributes:
        weights, state: of the server.
        own: states of the clients.
    """

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self.weights: Weights = [np.zeros(3)]
        self.state: Weights = []
        self.own: list[Weights] = [[np.zeros(3)] for _ in range(CLIENTS)]

    def round(self, clients: list[int], num_steps: int, num_clients: int = CLIENTS) -> None:
        updates = [self._train(client, num_steps) for client in clients]
        inputs = server(
            self.weights,
            self.state,
            trainable=(True,),
            num_clients=num_clients,
            num_participants=len(clients),
        )
        self.weights, self.state = self.strategy.aggregate(alike(*updates), inputs)

    def _train(self, client: int, num_steps: int) -> Weights:
        start, strategy = self.weights[0], self.strategy
        term = strategy.gradient_term(self.own[client], [])[0] if strategy.client_state else 0.0
        x = start
        for _ in range(num_steps):
            gradient = CURVATURES[client] * (x - OPTIMA[client])
            x = x - 0.1 * (gradient + term + strategy.proximal_mu * (x - start))
        if strategy.client_state:
            own = self.own[client]
            self.own[client] = strategy.next_client_state(
                own, [], [start], [x], num_steps=num_steps, learning_rate=0.5
            )
        return [x]

    def error(self) -> float:
        return float(np.linalg.norm(self.weights[0] - OPTIMUM))


def partial(number: int) -> list[int]:
    """Return half of the clients, others each round."""
    return sorted(np.random.default_rng(number).choice(CLIENTS, CLIENTS // 2, replace=False).tolist())


@pytest.mark.parametrize("participants", [lambda number: list(range(CLIENTS)), partial])
def test_it_ends_at_the_optimum_of_all_clients_where_fedavg_does_not(participants: Any) -> None:
    feddyn, fedavg = Simulation(dynamic()), Simulation(make("fedavg"))
    for number in range(600):
        for run in (feddyn, fedavg):
            run.round(participants(number), num_steps=20)
    assert feddyn.error() < 1e-6
    assert fedavg.error() > 0.1
    gradients = CURVATURES * (feddyn.weights[0] - OPTIMA)
    np.testing.assert_allclose([own[0] for own in feddyn.own], gradients, atol=1e-5)


def test_the_servers_sum_is_that_of_all_clients_states() -> None:
    run = Simulation(dynamic())
    for number in range(10):
        run.round(partial(number), num_steps=3)
        np.testing.assert_allclose(run.state[0], sum(own[0] for own in run.own), atol=1e-5)


def test_clients_that_join_later_move_the_end_to_the_optimum_of_all() -> None:
    run = Simulation(dynamic())
    for _ in range(20):
        run.round([0, 1, 2], num_steps=5, num_clients=3)
    for _ in range(600):
        run.round(list(range(CLIENTS)), num_steps=20)
    assert run.error() < 1e-6


def test_a_step_out_of_range_says_what_to_do() -> None:
    with pytest.raises(SchemaError, match=r"kernel: NaN or infinite values\); raise DYNAMIC_ALPHA, or lower"):
        dynamic().aggregate(alike(update(3e38)), server(update(-1e38)))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"UPDATE_DTYPE": "int8"}, "UPDATE_DTYPE: received 'int8': with STRATEGY=feddyn clients send whole"),
        ({"MAX_UPDATE_NORM": 1.0}, "MAX_UPDATE_NORM: received 1.0: with STRATEGY=feddyn the server needs"),
        ({"OPTIMIZER": "sgd", "PRECISION": "mixed_float16"}, ""),
    ],
)
def test_which_settings_it_needs(settings: dict[str, Any], said: str) -> None:
    reason = dynamic(**settings).check()
    assert reason.startswith(said)
    assert bool(reason) == bool(said)
