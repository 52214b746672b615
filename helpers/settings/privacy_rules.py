"""Rules of differential privacy: settings that DP needs, and those that would break its guarantee."""

from typing import Any

from helpers.architectures import ARCHITECTURES
from helpers.settings.conflicts import refuse
from helpers.settings.errors import ConfigError

WITHOUT_BATCH_NORM = (
    "set ARCHITECTURE=seed_cnn_groupnorm, or a pretrained network with BATCH_NORM=frozen, as in the recipe "
    "ultrasound"
)
LEAST_SAMPLE = 30
"""Least expected number of clients in a round of `DP=client` that draws each of them at random; with it,
one round in 10^13 has none."""


def check_privacy(settings: Any) -> None:
    """Refuse privacy without a budget or noise, and batch normalization that would leave clients unprotected.

    Raises:
        ConfigError: naming the setting.
    """
    defaults = type(settings)
    if settings.DP == "off":
        names = ("DP_TARGET_EPSILON", "DP_NOISE_MULTIPLIER", "DP_DELTA", "DP_CLIP_NORM", "DP_UNIT")
        is_set = {name: getattr(settings, name) != getattr(defaults, name) for name in names}
        unused = {name: (of_name, "nothing would be private") for name, of_name in is_set.items()}
        refuse(settings, unused, "DP=off", "set DP=example, or ")
        return
    if not settings.DP_TARGET_EPSILON and not settings.DP_NOISE_MULTIPLIER:
        raise ConfigError(
            f"DP: received {settings.DP!r} without budget and noise; set DP_TARGET_EPSILON, such as 8, or "
            "DP_NOISE_MULTIPLIER, such as 1"
        )
    network = ARCHITECTURES.get(settings.ARCHITECTURE)  # a custom one is checked when it is built
    if network is not None and network.has_batch_norm and settings.trains_batch_norm:
        raise ConfigError(
            f"DP: received {settings.DP!r} with ARCHITECTURE={settings.ARCHITECTURE}: the statistics of its "
            f"batch normalization would leave a client without clipping and noise; {WITHOUT_BATCH_NORM}"
        )


def check_private_training(settings: Any) -> None:
    """Refuse settings with which a guarantee of DP would not hold.

    Raises:
        ConfigError: naming the setting.
    """
    by_counts = "it depends on the exact number of images of each class"
    conflicts = {
        "LOGIT_ADJUSTMENT": (settings.LOGIT_ADJUSTMENT, by_counts),
        "CLASS_WEIGHT": (settings.CLASS_WEIGHT != "none", by_counts),
        "num_workers": (settings.num_workers == "auto", "a client would have other images in another round"),
    }
    if settings.DP == "example":
        divides_patients = settings.PARTITION in ("iid", "dirichlet", "quantity")
        conflicts |= {
            "PRECISION": (settings.PRECISION != "float32", "gradients are clipped in float32"),
            "XLA": (settings.XLA, "it does not compile the private training step"),
            "LOCAL_MODELS": (settings.LOCAL_MODELS, "sites would train them without noise"),
            "PARTITION": (
                settings.DP_UNIT == "patient" and divides_patients,
                "DP_UNIT=patient needs all images of a patient at one client",
            ),
        }
    if settings.DP == "client":
        strategy = settings.strategy
        sends_more = strategy.shares_state or not strategy.needs_only_mean
        draws_few = settings.CLIENT_FRACTION < 1 and (settings.cohort_size or 0) < LEAST_SAMPLE
        conflicts |= {
            "DP_UNIT": (settings.DP_UNIT != "image", "the unit is a whole client"),
            "STRATEGY": (sends_more, "noise is added to the mean of the updates, and to nothing else"),
            "HEAD_ROUNDS": (settings.HEAD_ROUNDS > 0, "noise is added to all weights, also to a frozen body"),
            "CLIENT_FRACTION": (draws_few, f"below {LEAST_SAMPLE} clients a round, one may have no client"),
        }
    if settings.DP != "off":
        refuse(settings, conflicts, f"DP={settings.DP}")
    if settings.DP == "client" and settings.MAX_UPDATE_RATIO:
        raise ConfigError(
            f"MAX_UPDATE_RATIO: received {settings.MAX_UPDATE_RATIO:g} with DP=client: whether an update "
            "counts would depend on the other clients; set MAX_UPDATE_RATIO=0, as DP_CLIP_NORM limits updates"
        )
