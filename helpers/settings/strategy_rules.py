"""The strategy of a run, made from its settings and checked against them."""

from collections.abc import Mapping
from typing import Any

from helpers.federated.strategies import STRATEGIES, Strategy
from helpers.federated.strategies.noised_mean import with_noise
from helpers.privacy.mechanism import mechanism_of
from helpers.settings.errors import ConfigError
from helpers.settings.own_code import REFERENCE, import_own, in_one_line


def check_name(name: str) -> str:
    """Return a strategy's name: one of STRATEGIES, or a class of the user's own as package.module:Class.

    Raises:
        ValueError: it is neither; lists the valid names.
    """
    if name not in STRATEGIES and not REFERENCE.fullmatch(name):
        raise ValueError(
            f"received {name!r}: expected {', '.join(STRATEGIES)}, or a class of your own as "
            "package.module:Class"
        )
    return name


def make_strategy(settings: Mapping[str, Any]) -> Strategy:
    """Return the strategy that the settings name.

    Args:
        settings: values by name.

    Returns:
        With `DP=client`, one that sees only a noisy mean of the updates.

    Raises:
        ConfigError: this machine does not allow the user's own class, or it cannot be used.
    """
    strategy = _plain_strategy(settings)
    if settings["DP"] != "client" or not strategy.needs_only_mean:
        return strategy
    return with_noise(strategy, lambda: mechanism_of(settings).noise_multiplier)


def _plain_strategy(settings: Mapping[str, Any]) -> Strategy:
    name = settings["STRATEGY"]
    if name in STRATEGIES:
        return STRATEGIES[name](settings)
    if name not in settings["OWN_STRATEGIES"]:
        raise ConfigError(
            f"STRATEGY: received {name!r}, which this machine does not allow; if you trust it, set "
            f"DT_OWN_STRATEGIES={name} here and at every worker"
        )
    own = import_own("STRATEGY", name)
    if not isinstance(own, type) or not issubclass(own, Strategy):
        raise ConfigError(f"STRATEGY: {name} is not a subclass of helpers.federated.strategies.Strategy")
    try:
        return own(settings)
    except Exception as error:  # a user's class may raise anything
        raise ConfigError(f"STRATEGY: {name}(settings) failed: {in_one_line(error)}") from error


def check_strategy(settings: Any) -> None:
    """Refuse settings that do not fit the strategy; of the number of clients, if it is known.

    Raises:
        ConfigError: naming the setting, its value and what to do.
    """
    strategy, cohort_size = settings.strategy, settings.cohort_size
    reason = strategy.check() or ("" if cohort_size is None else strategy.shortage(cohort_size))
    if reason:
        raise ConfigError(reason)
