"""Rules about STRATEGY, and settings whose meaning depends on it."""

from typing import Any

from helpers.federated.quorum import num_tolerated, updates_needed
from helpers.settings.errors import ConfigError


def server_learning_rate(strategy: str, rate: float) -> float:
    """Return the learning rate of the server optimizer.

    Args:
        strategy: STRATEGY.
        rate: SERVER_LEARNING_RATE; 0 for the strategy's default.
    """
    return rate or (1.0 if strategy == "fedavgm" else 0.01)


def shortage(strategy: str, trim_fraction: float, num_malicious: int, num_clients: int) -> str:
    """Return why `num_clients` per round are too few for a strategy; empty if they are enough.

    Args:
        strategy, trim_fraction, num_malicious: the settings of these names.
        num_clients: clients that take part in a round.
    """
    tolerated = num_tolerated(strategy, trim_fraction, num_malicious, num_clients)
    needed = updates_needed(strategy, tolerated)
    if strategy == "trimmed_mean" and not tolerated:
        return (
            f"TRIM_FRACTION: received {trim_fraction}: of {num_clients} clients a round less than one, so "
            "nothing would be trimmed; trimmed_mean needs at least three clients a round and a TRIM_FRACTION "
            "of at least one client"
        )
    if num_clients < needed:
        return (
            f"NUM_MALICIOUS: received {num_malicious}: STRATEGY={strategy} needs 2 · NUM_MALICIOUS + 3 = "
            f"{needed} clients, {num_clients} take part in a round; lower it, or have more clients"
        )
    return ""


def check_strategy(settings: Any) -> None:
    """Check the number of clients that the strategy needs, and the settings that `scaffold` excludes.

    Raises:
        ConfigError: the strategy cannot work with another setting.
    """
    if settings.STRATEGY == "scaffold":
        _check_scaffold(settings)
    if settings.cohort_size is not None and (reason := settings.shortage(settings.cohort_size)):
        raise ConfigError(reason)


def _check_scaffold(settings: Any) -> None:
    if settings.OPTIMIZER != "sgd":
        raise ConfigError(
            f"OPTIMIZER: received {settings.OPTIMIZER!r}: STRATEGY=scaffold computes mean gradients from the "
            "steps of plain SGD; set OPTIMIZER=sgd, and BASE_LR to a rate for it, such as 0.01"
        )
    if settings.UPDATE_DTYPE != "float32":
        raise ConfigError(
            f"UPDATE_DTYPE: received {settings.UPDATE_DTYPE!r}: with STRATEGY=scaffold clients send whole "
            "weights; set UPDATE_DTYPE=float32"
        )
    if settings.PRECISION == "mixed_float16":
        raise ConfigError(
            "PRECISION: received 'mixed_float16' with STRATEGY=scaffold: steps whose gradients overflow are "
            "skipped, so the mean gradients computed from the steps would be wrong; set "
            "PRECISION=mixed_bfloat16"
        )
    if settings.num_workers == "auto":
        raise ConfigError(
            "STRATEGY: received 'scaffold' with num_workers=auto: a client's control variate does not fit "
            "the other rows that its id may have later; set num_workers to a number, or leave STRATEGY at "
            "its default"
        )
