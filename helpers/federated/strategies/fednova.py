"""FedNova: normalized averaging (Wang et al. 2020, "Tackling the Objective Inconsistency Problem in
Heterogeneous Federated Optimization", equation 8).

A client that makes more steps moves further, so FedAvg follows it more than its images justify. FedNova
averages the change per step and multiplies it by the mean number of steps.
"""

from collections.abc import Iterable
from dataclasses import replace

from helpers.federated.aggregation import weighted_mean
from helpers.federated.changes import scale_change
from helpers.federated.strategies.base import ServerInputs, Strategy, Update, weighted
from helpers.federated.strategies.requirements import mean_gradient_from_sgd
from helpers.federated.strategies.server_step import step_from_mean
from helpers.federated.weights import Weights


class FedNova(Strategy):
    """w ← w + τ_eff Σ p_k (w_k − w) / τ_k for τ_k steps of plain SGD and p_k, a client's share of the images.

    τ_eff = Σ p_k τ_k. Clients with equally many steps give FedAvg. Arrays that are not trained take the mean
    with shares p_k.
    """

    def check(self) -> str:
        return mean_gradient_from_sgd(self.settings)

    def aggregate(self, updates: Iterable[Update], server: ServerInputs) -> tuple[Weights, Weights]:
        global_weights = server.read_global_weights()
        first_steps, num_rows, row_steps = 0, 0, 0

        def alike(update: Update) -> Update:
            """Scale a change to the steps of the first client, which loses less than to one step."""
            nonlocal first_steps, num_rows, row_steps
            first_steps = first_steps or update.num_steps
            num_rows += update.num_rows
            row_steps += update.num_rows * update.num_steps
            scale = first_steps / update.num_steps
            scaled = scale_change(update.weights, global_weights, server.trainable, scale)
            return replace(update, weights=scaled)

        mean = weighted_mean(weighted(map(alike, updates), lambda update: update.num_rows))
        scale = row_steps / num_rows / first_steps
        advice = "lower BASE_LR, or set MAX_UPDATE_NORM"
        return step_from_mean(lambda change, state: (scale * change, []), mean, [], server, (), advice)
