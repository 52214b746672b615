"""Exponential moving average of the global model over the rounds (EMA; after Polyak and Juditsky 1992,
"Acceleration of Stochastic Approximation by Averaging").
"""

from collections.abc import Callable

from helpers.evaluation.metrics import Evaluation
from helpers.federated.aggregation import weighted_mean
from helpers.federated.messages import RoundOrder
from helpers.federated.results import Averaged
from helpers.federated.weights import Weights
from helpers.run_records.checkpoint import load_arrays, read_state
from tasks.run_context import RunContext


def add_ema(
    context: RunContext,
    order: RoundOrder,
    averaged: Averaged,
    weights: Weights,
    evaluate: Callable[[RunContext, Weights], Evaluation],
) -> Weights:
    """Return the average after a round, and add its metrics to the round's row of rounds.csv.

    Args:
        context, order: of the aggregation.
        averaged: the round, whose row is changed.
        weights: the new global weights.
        evaluate: returns the evaluation of weights on the validation images.

    Raises:
        RecordError: the average before the round could not be read.
    """
    average = _next_average(context, order, weights)
    metrics = evaluate(context, average).metrics
    averaged.row.update({f"ema_{name}": metrics[name] for name in ("val_loss", "roc_auc")})
    return average


def _next_average(context: RunContext, order: RoundOrder, weights: Weights) -> Weights:
    """Return m ← d · m + (1 − d) · w with d = EMA_DECAY; m begins as the first round's w."""
    state, _ = read_state(context.folders)
    if state.ema_file is None:
        return weights
    average = load_arrays(context.folders, state.ema_file, context.instance.schema)
    decay = context.config.EMA_DECAY
    return weighted_mean([(average, decay), (weights, 1 - decay)])
