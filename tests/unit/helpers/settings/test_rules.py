"""Rules between settings: which combinations are refused, and with which message."""

import pytest

from helpers.global_config import Config
from helpers.settings.errors import ConfigError


@pytest.mark.parametrize(
    ("clients", "message"),
    [("0,3", r"received \(0, 3\), the number of clients is 3"), ("1,1", r"received \(1, 1\): an id occurs")],
)
def test_clients_must_exist_and_differ(clients, message):
    with pytest.raises(ConfigError, match=f"^CLIENTS: {message}"):
        Config.load(CLIENTS=clients)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NUM_CLIENTS", 4),
        ("CLIENTS", "0,1"),
        ("PARTITION", "site"),
        ("LR_SCALING", "linear"),
        ("UPDATE_DTYPE", "int8"),
        ("BATCH_NORM", "local"),
        ("OPTIMIZER_STATE", "keep"),
    ],
)
def test_auto_refuses_what_needs_a_fixed_number_of_clients(name, value):
    Config.load(**{name: value})
    with pytest.raises(
        ConfigError, match=f"^{name}: received .* with num_workers=auto: .*; set num_workers to a number, or"
    ):
        Config.load(num_workers="auto", **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PARTITION", "iid"),
        ("NUM_CLIENTS", 4),
        ("num_workers", 4),
        ("CLIENTS", "0,1"),
        ("LR_SCALING", "linear"),
        ("CLASS_WEIGHT", "balanced_global"),
        ("EMA_DECAY", 0.9),
    ],
)
def test_sites_refuse_what_needs_all_images_in_one_place(name, value):
    Config.load(**{name: value})
    with pytest.raises(
        ConfigError, match=f"^{name}: received .* with DATA_AT=sites: .*; leave {name} at its default"
    ):
        Config.load(DATA_AT="sites", **{name: value})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ARCHITECTURE": "resnet_groupnorm", "TRAIN_STEP": "fast"}, "TRAIN_STEP: received 'fast' with ARCH"),
        ({"ARCHITECTURE": "my.net:build", "TRAIN_STEP": "fast"}, "TRAIN_STEP: received 'fast' with ARCH"),
        ({"PRETRAINED": "imagenet"}, "PRETRAINED: .* weights from ImageNet for .*, mobilenet_v3_small, "),
        ({"PRETRAINED": "package"}, "PRETRAINED: .* weights from ImageNet for efficientnet_lite0, "),
        (
            {"ARCHITECTURE": "efficientnet_lite0", "PRETRAINED": "imagenet"},
            "PRETRAINED: .* its weights from ImageNet are those of PRETRAINED=package",
        ),
        (
            {"ARCHITECTURE": "mobilenet_v3_small", "PRETRAINED": "package"},
            "PRETRAINED: .* its weights from ImageNet are those of PRETRAINED=imagenet",
        ),
        (
            {"ARCHITECTURE": "resnet_groupnorm", "BATCH_NORM": "local"},
            "BATCH_NORM: .* no batch normalization",
        ),
        (
            {"ARCHITECTURE": "seed_cnn_groupnorm", "BATCH_NORM_MOMENTUM": 0.5},
            "BATCH_NORM_MOMENTUM: received 0.5",
        ),
        (
            {"ARCHITECTURE": "resnet_groupnorm", "BATCH_NORM_STATISTICS": "round"},
            "BATCH_NORM_STATISTICS: received 'round' with A",
        ),
        ({"TRAIN_BODY": False}, "TRAIN_BODY: received False with ARCHITECTURE=seed_cnn"),
        ({"ARCHITECTURE": "mobilenet_v3_small", "TRAIN_BODY": False}, "TRAIN_BODY: .* with PRETRAINED=none"),
        (
            {"ARCHITECTURE": "resnet_groupnorm", "BATCH_NORM": "frozen"},
            "BATCH_NORM: received 'frozen' with A",
        ),
        ({"BATCH_NORM": "frozen"}, "BATCH_NORM: received 'frozen' with PRETRAINED=none"),
        ({"HEAD_ROUNDS": 2}, "HEAD_ROUNDS: received 2 with ARCHITECTURE=seed_cnn: only efficientnet"),
        ({"MOMENTUM": 0.9}, "MOMENTUM: received 0.9 with OPTIMIZER=adam: it is for OPTIMIZER=sgd"),
        (
            {"OPTIMIZER": "sgd", "OPTIMIZER_STATE": "keep"},
            "OPTIMIZER_STATE: received 'keep' with OPTIMIZER=sgd and MOMENTUM=0, which has no state",
        ),
        (
            {"LOGIT_ADJUSTMENT": True, "CLASS_WEIGHT": "balanced"},
            "CLASS_WEIGHT: received 'balanced' with LOGIT_ADJUSTMENT=true: both correct the frequency",
        ),
        ({"LR_WARMUP_ROUNDS": 5, "EPOCHS": 5}, "LR_WARMUP_ROUNDS: received 5 with EPOCHS=5: the learning"),
        ({"OPTIMIZER": "sgd", "NESTEROV": True}, "NESTEROV: received True with MOMENTUM=0; set MOMENTUM"),
    ],
)
def test_what_a_network_an_optimizer_or_a_precision_cannot_do_is_refused(settings, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        Config.load(**settings)


def test_what_a_network_can_do_is_accepted():
    Config.load(ARCHITECTURE="efficientnet_lite0", PRETRAINED="package", TRAIN_BODY="false")
    Config.load(PRETRAINED="a.keras", BATCH_NORM="frozen")
    Config.load(ARCHITECTURE="my.net:build", BATCH_NORM="local", BATCH_NORM_MOMENTUM=0.5, PRETRAINED="a.h5")
    Config.load(
        ARCHITECTURE="mobilenet_v3_small", PRETRAINED="imagenet", TRAIN_BODY="false", BATCH_NORM="local"
    )


HEAD = {"ARCHITECTURE": "mobilenet_v3_small", "PRETRAINED": "imagenet", "HEAD_ROUNDS": 2}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"PRETRAINED": "none"}, "PRETRAINED=none: a body of random weights would be frozen"),
        ({"TRAIN_BODY": False}, "TRAIN_BODY=false: the body is frozen in all rounds"),
        ({"EPOCHS": 2}, "EPOCHS=2: the body would never be trained"),
        ({"STRATEGY": "feddyn"}, "STRATEGY=feddyn: the state of its clients"),
        (
            {"OPTIMIZER_STATE": "keep", "UPDATE_DTYPE": "int8"},
            "OPTIMIZER_STATE=keep and UPDATE_DTYPE=int8: a",
        ),
        ({"OPTIMIZER_STATE": "keep", "BATCH_NORM": "local"}, "OPTIMIZER_STATE=keep and BATCH_NORM"),
    ],
)
def test_what_does_not_fit_rounds_of_the_head_is_refused(settings, message):
    Config.load(**HEAD, OPTIMIZER_STATE="keep")
    with pytest.raises(ConfigError, match=f"^HEAD_ROUNDS: received 2 with {message}"):
        Config.load(**HEAD | settings)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("STRATEGY", "median", "it needs more of the updates than their mean"),
        ("STRATEGY", "fedavg_unweighted", "it needs more of the updates than their mean"),
        ("STRATEGY", "multi_krum", "it needs more of the updates than their mean"),
        ("UPDATE_DTYPE", "int8", "masked updates cannot be compressed"),
        ("MAX_UPDATE_RATIO", 5, "the norms of single updates are not known"),
    ],
)
def test_secure_aggregation_refuses_what_needs_single_updates(name, value, reason):
    Config.load(DATA_AT="sites", **{name: value})
    with pytest.raises(ConfigError, match=f"^{name}: received .* with SECURE_AGGREGATION=true: {reason}"):
        Config.load(DATA_AT="sites", SECURE_AGGREGATION=True, **{name: value})


def test_secure_aggregation_refuses_noise_for_whole_clients():
    private = {"DP": "client", "DP_NOISE_MULTIPLIER": 1.0, "ARCHITECTURE": "seed_cnn_groupnorm"}
    private["MAX_UPDATE_RATIO"] = 0
    assert Config.load(DATA_AT="sites", **private).DP == "client"
    with pytest.raises(ConfigError, match=r"^DP: received 'client' with SECURE_AGGREGATION=true: it clips"):
        Config.load(DATA_AT="sites", SECURE_AGGREGATION=True, **private)


@pytest.mark.parametrize(
    "settings",
    [
        {"STRATEGY": "fedprox"},
        {"STRATEGY": "fedadam"},
        {"STRATEGY": "fedavgm"},
        {"BATCH_NORM": "local"},
        {"OPTIMIZER_STATE": "keep"},
        {"MAX_UPDATE_NORM": 2.0},
        {"MAX_UPDATE_RATIO": 0},
    ],
)
def test_secure_aggregation_accepts_what_needs_only_the_mean(settings):
    assert Config.load(DATA_AT="sites", SECURE_AGGREGATION=True, **settings).SECURE_AGGREGATION


def test_secure_aggregation_is_for_sites():
    with pytest.raises(
        ConfigError,
        match=r"^SECURE_AGGREGATION: received True with DATA_AT=shared: .*; set DATA_AT=sites, or",
    ):
        Config.load(SECURE_AGGREGATION=True)
