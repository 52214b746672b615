"""FedNova: normalized averaging (Wang et al. 2020, "Tackling the Objective Inconsistency Problem in
Heterogeneous Federated Optimization", equation 8).

A client that makes more steps moves further, so FedAvg follows it more than its images justify. FedNova
averages the change per step and multiplies it by the mean number of steps.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from helpers.federated.aggregation import weighted_mean
from helpers.federated.changes import scale_change
from helpers.federated.strategies.base import ServerInputs, Strategy, Update, weighted
from helpers.federated.strategies.requirements import mean_gradient_from_sgd
from helpers.federated.weights import Weights


class FedNova(Strategy):
    """w ← w + τ_eff Σ p_k (w_k − w) / τ_k, with τ_k steps of plain SGD and p_k a client's share of the
    images.

    τ_eff = Σ p_k τ_k. Clients with equally many steps give FedAvg. Moving statistics are averaged as FedAvg
    does.
    """

    def check(self) -> str:
        return mean_gradient_from_sgd(self.settings)

    def aggregate(self, updates: Iterable[Update], server: ServerInputs) -> tuple[Weights, Weights]:
        global_weights = server.read_global_weights()
        num_examples, steps = 0, 0.0

        def per_step() -> Iterator[Update]:
            nonlocal num_examples, steps
            for update in updates:
                num_examples += update.num_examples
                steps += update.num_examples * update.num_steps
                scaled = scale_change(update.weights, global_weights, server.trainable, 1 / update.num_steps)
                yield replace(update, weights=scaled)
                del update, scaled  # before the next one is fetched

        mean = weighted_mean(weighted(per_step(), lambda update: update.num_examples))
        return scale_change(mean, global_weights, server.trainable, steps / num_examples), []
