"""FedAvg: the mean of the clients' weights (McMahan et al. 2017, "Communication-Efficient Learning of Deep
Networks from Decentralized Data", Algorithm 1).
"""

from collections.abc import Iterable

from helpers.federated.aggregation import weighted_mean
from helpers.federated.strategies.base import ServerInputs, Strategy, Update, weighted
from helpers.federated.weights import Weights


class FedAvg(Strategy):
    """Mean weighted by the number of images each client saw."""

    needs_only_mean = True

    def aggregate(self, updates: Iterable[Update], server: ServerInputs) -> tuple[Weights, Weights]:
        return weighted_mean(weighted(updates, lambda update: update.num_examples)), []


class FedAvgUnweighted(Strategy):
    """Mean in which every client counts alike."""

    needs_only_mean = True
    weighs_by_images = False

    def aggregate(self, updates: Iterable[Update], server: ServerInputs) -> tuple[Weights, Weights]:
        return weighted_mean(weighted(updates, lambda update: 1.0)), []
