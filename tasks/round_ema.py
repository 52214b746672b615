"""Exponential moving average of the global model over the rounds (EMA; after Polyak and Juditsky 1992,
"Acceleration of Stochastic Approximation by Averaging").
"""

from collections.abc import Callable
from dataclasses import dataclass

from helpers.evaluation.metrics import Evaluation
from helpers.federated.aggregation import weighted_mean
from helpers.federated.messages import RoundOrder
from helpers.federated.weights import Weights
from helpers.run_records.checkpoint import load_arrays, read_state
from tasks.run_context import RunContext


@dataclass(frozen=True)
class RoundEma:
    """The average after a round.

    Attributes:
        weights: of all arrays, in model order.
        metrics: columns of rounds.csv.
    """

    weights: Weights
    metrics: dict[str, float | None]


def ema_of_round(
    context: RunContext,
    order: RoundOrder,
    weights: Weights,
    evaluate: Callable[[RunContext, Weights], Evaluation],
) -> RoundEma:
    """Return m ← d · m + (1 − d) · w with d = EMA_DECAY, evaluated.

    m begins as the global weights of the first round. If an earlier attempt has committed the round, its
    average is returned.

    Args:
        context, order: of the aggregation.
        weights: w, the new global weights.
        evaluate: evaluates weights on the validation images.

    Raises:
        RecordError: the average could not be read.
    """
    decay = context.config.EMA_DECAY
    state, _ = read_state(context.folders)
    average = weights
    if state.ema_file is not None:
        average = load_arrays(context.folders, state.ema_file, context.instance.schema)
        if state.round < order.round:
            average = weighted_mean([(average, decay), (weights, 1 - decay)])
    metrics = evaluate(context, average).metrics
    return RoundEma(average, {f"ema_{name}": metrics[name] for name in ("val_loss", "roc_auc")})
