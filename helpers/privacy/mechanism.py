"""What one training of a client, or one round, means for the privacy of a unit, by the settings of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from helpers.privacy import accountant
from helpers.settings.errors import ConfigError


@dataclass(frozen=True)
class Mechanism:
    """Noisy steps on random samples, the same in every training.

    Attributes:
        noise_multiplier: standard deviation of the noise, in units of DP_CLIP_NORM.
        sampling_rate: probability of each unit in a step.
        num_steps: of one training.
        delta: DP_DELTA.
    """

    noise_multiplier: float
    sampling_rate: float
    num_steps: int
    delta: float

    def epsilon(self, num_trainings: int) -> float:
        """Return ε after a number of trainings."""
        return accountant.epsilon(
            self.noise_multiplier, self.sampling_rate, self.num_steps * num_trainings, self.delta
        )


def mechanism_of(settings: Mapping[str, Any], num_rows: int = 0) -> Mechanism:
    """Return the mechanism of DP.

    With `DP=example` it is that of a client with `num_rows` training images: LOCAL_EPOCHS times as many steps
    as batches of TRAIN_BATCH_SIZE, in each of which an image or patient takes part with the probability
    TRAIN_BATCH_SIZE / num_rows. With `DP=client` it is one step a round, and a client takes part with the
    probability CLIENT_FRACTION. Numbers of images and clients count as public.

    Args:
        settings: values by name, those of `Config` for a run.
        num_rows: of the client; not used with `DP=client`.

    Raises:
        ConfigError: DP_TARGET_EPSILON cannot be met, or dp-accounting is not installed.
    """
    rate, steps = settings["CLIENT_FRACTION"], 1
    if settings["DP"] == "example":
        size = settings["TRAIN_BATCH_SIZE"]
        rate, steps = min(1.0, size / num_rows), settings["LOCAL_EPOCHS"] * -(-num_rows // size)
    budget, delta = settings["DP_TARGET_EPSILON"], settings["DP_DELTA"]
    noise = settings["DP_NOISE_MULTIPLIER"] or accountant.noise_multiplier(
        budget, rate, steps * settings["EPOCHS"], delta
    )
    mechanism = Mechanism(noise, rate, steps, delta)
    if budget and (first := mechanism.epsilon(1)) > budget:
        raise ConfigError(
            f"DP_TARGET_EPSILON: received {budget:g}, but with DP_NOISE_MULTIPLIER={noise:g} the first round "
            f"needs {first:.3g}; raise DP_NOISE_MULTIPLIER, or leave it out so that it is solved"
        )
    return mechanism
