"""Rules of differential privacy: what is refused, and with which remedy."""

import pytest

from helpers.global_config import Config
from helpers.settings.errors import ConfigError

PRIVATE = {"DP": "example", "DP_TARGET_EPSILON": 8, "ARCHITECTURE": "seed_cnn_groupnorm"}
PRETRAINED = {"ARCHITECTURE": "efficientnet_lite0", "PRETRAINED": "package", "BATCH_NORM": "frozen"}
OF_CLIENTS = PRIVATE | {"DP": "client", "MAX_UPDATE_RATIO": 0}


def test_private_trainings_are_accepted() -> None:
    Config.load(**PRIVATE)
    Config.load(**PRIVATE, DP_UNIT="patient", PARTITION="site", STRATEGY="scaffold", OPTIMIZER="sgd")
    Config.load(DP="example", DP_NOISE_MULTIPLIER=1, ARCHITECTURE="mynets.small:build")
    Config.load(**PRIVATE | {"ARCHITECTURE": "efficientnet_lite0"}, PRETRAINED="package", BATCH_NORM="frozen")
    Config.load(**OF_CLIENTS, STRATEGY="fedadam")
    Config.load(**OF_CLIENTS, NUM_CLIENTS=300, CLIENT_FRACTION=0.1)
    Config.load(**OF_CLIENTS, DATA_AT="sites")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DP_TARGET_EPSILON", 8),
        ("DP_NOISE_MULTIPLIER", 1),
        ("DP_CLIP_NORM", 0.5),
        ("DP_DELTA", 1e-6),
        ("DP_UNIT", "patient"),
    ],
)
def test_a_budget_without_privacy_is_refused(name: str, value: float | str) -> None:
    with pytest.raises(
        ConfigError, match=f"^{name}: received .* with DP=off: nothing would be private; set DP="
    ):
        Config.load(**{name: value})


@pytest.mark.parametrize("kind", ["example", "client"])
def test_privacy_needs_a_budget_or_noise(kind: str) -> None:
    with pytest.raises(
        ConfigError, match=f"^DP: received '{kind}' without budget and noise; set DP_TARGET_EPS"
    ):
        Config.load(DP=kind)


@pytest.mark.parametrize("kind", ["example", "client"])
@pytest.mark.parametrize("network", ["seed_cnn", "efficientnet_lite0"])
def test_trained_batch_normalization_is_refused_with_the_remedy(kind: str, network: str) -> None:
    with pytest.raises(
        ConfigError, match=f"ARCHITECTURE={network}: .*; set ARCHITECTURE=seed_cnn_groupnorm, or"
    ):
        Config.load(DP=kind, DP_TARGET_EPSILON=8, ARCHITECTURE=network)


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (PRIVATE | {"DATA_AT": "sites"}, "LOCAL_MODELS", True),
        (PRIVATE, "LOGIT_ADJUSTMENT", True),
        (PRIVATE, "CLASS_WEIGHT", "balanced"),
        (PRIVATE, "num_workers", "auto"),
        (PRIVATE, "PRECISION", "mixed_bfloat16"),
        (PRIVATE, "XLA", True),
        (PRIVATE | {"DP_UNIT": "patient"}, "PARTITION", "iid"),
        (OF_CLIENTS, "DP_UNIT", "patient"),
        (OF_CLIENTS, "STRATEGY", "median"),
        (OF_CLIENTS, "STRATEGY", "fednova"),
        (OF_CLIENTS, "STRATEGY", "scaffold"),
        (OF_CLIENTS | PRETRAINED, "HEAD_ROUNDS", 3),
        (OF_CLIENTS | {"NUM_CLIENTS": 50}, "CLIENT_FRACTION", 0.5),
    ],
)
def test_what_breaks_the_guarantee_is_refused(settings: dict, name: str, value: object) -> None:
    more = {"OPTIMIZER": "sgd"} if value in ("fednova", "scaffold") else {}
    with pytest.raises(ConfigError, match=f"^{name}: received .* with DP={settings['DP']}: "):
        Config.load(**settings, **more, **{name: value})


def test_a_limit_by_other_clients_is_refused_with_the_remedy() -> None:
    with pytest.raises(
        ConfigError, match=r"^MAX_UPDATE_RATIO: received 100 with DP=client: .*; set MAX_UPDATE_R"
    ):
        Config.load(**OF_CLIENTS | {"MAX_UPDATE_RATIO": 100})
