"""Strategies by name: how updates become the next global weights, and what clients add to their training.

One strategy a file; `base.Strategy` says what one may do. NumPy only: arrays and explicit state in, new
values out. What a client adds to its training is described as data (a proximal weight, a term on the
gradients), which the trainer applies.
"""

from helpers.federated.strategies.base import Strategy as Strategy
from helpers.federated.strategies.fedadagrad import FedAdagrad
from helpers.federated.strategies.fedadam import FedAdam
from helpers.federated.strategies.fedavg import FedAvg, FedAvgUnweighted
from helpers.federated.strategies.fedavgm import FedAvgM
from helpers.federated.strategies.feddyn import FedDyn
from helpers.federated.strategies.fednova import FedNova
from helpers.federated.strategies.fedprox import FedProx
from helpers.federated.strategies.fedyogi import FedYogi
from helpers.federated.strategies.krum import Krum
from helpers.federated.strategies.median import Median
from helpers.federated.strategies.multi_krum import MultiKrum
from helpers.federated.strategies.scaffold import Scaffold
from helpers.federated.strategies.trimmed_mean import TrimmedMean

STRATEGIES: dict[str, type[Strategy]] = {
    "fedavg": FedAvg,
    "fedavg_unweighted": FedAvgUnweighted,
    "fedprox": FedProx,
    "scaffold": Scaffold,
    "fednova": FedNova,
    "feddyn": FedDyn,
    "fedavgm": FedAvgM,
    "fedadagrad": FedAdagrad,
    "fedadam": FedAdam,
    "fedyogi": FedYogi,
    "median": Median,
    "trimmed_mean": TrimmedMean,
    "krum": Krum,
    "multi_krum": MultiKrum,
}
DEFAULT = "fedavg"
