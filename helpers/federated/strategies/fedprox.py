"""FedProx: FedAvg whose clients are held near the global weights (Li et al. 2020, "Federated Optimization in
Heterogeneous Networks", Algorithm 2).
"""

from collections.abc import Mapping
from typing import Any

from helpers.federated.strategies.fedavg import FedAvg


class FedProx(FedAvg):
    """Clients add μ/2 ‖w − w₀‖² to their loss, with μ = PROXIMAL_MU; μ = 0 is FedAvg."""

    reads = ("PROXIMAL_MU",)

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.proximal_mu = settings["PROXIMAL_MU"]
