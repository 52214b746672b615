"""Training of a client with `DP=example`: which samples it trains on, and with how much noise."""

import secrets
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.federated.noise import drawn
from helpers.local_training.private_training import Privacy, train_privately
from helpers.privacy.mechanism import mechanism_of
from preprocessing.feed.private_batches import private_batches, units_of
from tasks.run_context import RunContext


def dp_sgd(
    context: RunContext, rows: NDArray[np.integer[Any]]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return what takes the place of `training_batches` and `train_locally`, with their arguments.

    Their `seed` is not used: with a known one, augmentation and dropout of a unit would show how many units
    were drawn before it.

    Args:
        context: of the training.
        rows: the client's training rows.

    Raises:
        ConfigError: the budget cannot be met.
        PreprocessingError: `DP_UNIT=patient`, but patients are unknown.
    """
    config = context.config
    mechanism = mechanism_of(dict(config), len(rows))
    units = units_of(context.data, config, rows)
    privacy = Privacy(config.DP_CLIP_NORM, mechanism.noise_multiplier, mechanism.sampling_rate * len(units))
    seed = [secrets.randbits(128)]
    return (
        _with(private_batches, units=units, draw=drawn, seed=seed),
        _with(train_privately, privacy=privacy, seed=seed),
    )


def _with(function: Callable[..., Any], **own: Any) -> Callable[..., Any]:
    """Return the function with arguments that replace those of its caller."""
    return lambda *arguments, **options: function(*arguments, **(options | own))
