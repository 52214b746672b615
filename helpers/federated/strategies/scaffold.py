"""SCAFFOLD (Karimireddy et al. 2020, "Stochastic Controlled Averaging for Federated Learning", Algorithm 1).

Every client corrects its gradients by how its own usual direction c_i differs from that of all clients, c.
What the clients send is averaged as FedAvg does, every client alike. Control variates have the shapes of the
trainable arrays; those of a client that has not trained yet, and c before the first round, are 0.
"""

from collections.abc import Iterator

import numpy as np

from helpers.federated.aggregation import weighted_mean
from helpers.federated.weights import Schema, Weights


def zero_control(schema: Schema) -> Weights:
    """The control variate before anything was learnt."""
    return [np.zeros(spec.shape, spec.dtype) for spec in schema]


def correction(client: Weights, server: Weights) -> Weights:
    """What is added to every gradient (line 10): c − c_i."""
    return [np.subtract(c, c_i) for c, c_i in zip(server, client, strict=True)]


def next_control(
    client: Weights, server: Weights, began: Weights, ended: Weights, *, num_steps: int, learning_rate: float
) -> Weights:
    """A client's control variate after its training (line 12, option II): c_i − c + (x − y_i) / (K η).

    Args:
        client, server: c_i and c, as they were during the training.
        began, ended: x and y_i, the weights before and after it.
        num_steps: K > 0, the steps that were made.
        learning_rate: η of plain SGD.
    """
    steps = np.float32(num_steps * learning_rate)
    arrays = zip(client, server, began, ended, strict=True)
    return [
        np.subtract(c_i, c, dtype=np.float32) + np.subtract(x, y, dtype=np.float32) / steps
        for c_i, c, x, y in arrays
    ]


def server_control(clients: Iterator[Weights]) -> Weights:
    """The server's control variate: c = Σ c_i / N over all N clients, those not seen yet with 0.

    Algorithm 1 reaches it step by step, c ← c + Σ Δc_i / N (line 17); the sum says the same, and leaves the
    server nothing to remember that the clients do not.
    """
    return weighted_mean((control, 1.0) for control in clients)
