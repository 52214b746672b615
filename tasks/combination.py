"""The updates of a round, by STRATEGY, become the next global weights."""

from helpers.federated.aggregation import weighted_mean
from helpers.federated.messages import RoundOrder
from helpers.federated.quorum import QuorumError, num_tolerated, updates_needed
from helpers.federated.strategies.coordinates import median, trimmed_mean
from helpers.federated.strategies.krum import krum, multi_krum
from helpers.federated.strategies.norm_clipping import clip_updates
from helpers.federated.strategies.server_optimizers import ServerRates
from helpers.federated.strategies.server_step import follow, initial_server_state, server_state_schema
from helpers.federated.weights import Weights
from helpers.run_records.checkpoint import save_server_state
from helpers.run_records.run_log import server_state_before
from tasks.run_context import RunContext
from tasks.update_intake import UpdateIntake

ROBUST = {
    "median": lambda updates, _trainable, _liars: median(updates),
    "trimmed_mean": lambda updates, _trainable, liars: trimmed_mean(updates, liars),
    "krum": krum,
    "multi_krum": multi_krum,
}
"""Strategies that need all updates at once; every client counts alike."""


def combine(context: RunContext, order: RoundOrder, intake: UpdateIntake) -> tuple[Weights, str | None]:
    """Return the new global weights, and the file of what the server remembers; None where nothing.

    Raises:
        QuorumError: too few usable updates, for MIN_CLIENTS or for the strategy.
        SchemaError: the step of the server's optimizer left the range of the weights.
        RecordError: what the server remembers could not be read or written.
    """
    config, trainable = context.config, context.memory.is_shared
    updates = intake.updates()
    if config.MAX_UPDATE_NORM:
        updates = clip_updates(updates, intake.global_weights, trainable, config.MAX_UPDATE_NORM)
    if config.STRATEGY in ROBUST:
        return _combine_robustly(context, order, intake, [weights for weights, _ in updates]), None
    return _follow(context, order, intake, weighted_mean(updates))


def _combine_robustly(
    context: RunContext, order: RoundOrder, intake: UpdateIntake, updates: list[Weights]
) -> Weights:
    config, num_clients = context.config, len(order.clients)
    liars = num_tolerated(config.STRATEGY, config.TRIM_FRACTION, config.NUM_MALICIOUS, num_clients)
    needed = updates_needed(config.STRATEGY, liars)
    if len(updates) < needed:
        setting = "TRIM_FRACTION" if config.STRATEGY == "trimmed_mean" else "NUM_MALICIOUS"
        raise QuorumError(
            f"{len(updates)} usable updates of {num_clients} clients; {setting}={getattr(config, setting)}: "
            f"{config.STRATEGY} needs {needed} against {liars} liars ({intake.reasons}). Lower {setting}, or "
            "resume when more clients answer"
        )
    return ROBUST[config.STRATEGY](updates, context.memory.is_shared, liars)


def _follow(
    context: RunContext, order: RoundOrder, intake: UpdateIntake, mean: Weights
) -> tuple[Weights, str | None]:
    """Step towards the mean by the server's optimizer; without one, the mean is the next global model."""
    config, model, trainable = context.config, context.instance.schema, context.memory.is_shared
    schema = server_state_schema(config.STRATEGY, model, trainable)
    if not schema:
        return mean, None
    rates = ServerRates(
        config.server_learning_rate, config.SERVER_MOMENTUM, config.SERVER_BETA_2, config.SERVER_TAU
    )
    before = server_state_before(context.folders, order.round, schema)
    before = before or initial_server_state(schema, config.SERVER_TAU)
    weights, after = follow(
        config.STRATEGY, rates, trainable, intake.global_weights, mean, model, before
    )  # fmt: skip
    return weights, save_server_state(context.folders, order.round, schema, after)
