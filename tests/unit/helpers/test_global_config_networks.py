"""Settings of the network, its precision and its machine: what is refused, and how it is said."""

import argparse

import pytest

from helpers.global_config import Config, ConfigError, add_settings, config_from_arguments


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    for name in Config.model_fields:
        monkeypatch.delenv(f"DT_{name.upper()}", raising=False)


def test_channels_are_read_as_a_number(monkeypatch):
    parser = argparse.ArgumentParser()
    add_settings(parser)
    assert config_from_arguments(parser.parse_args(["--input-dim", "1"])).INPUT_DIM == 1
    monkeypatch.setenv("DT_INPUT_DIM", "2")
    with pytest.raises(ConfigError, match=r"INPUT_DIM: received .*1 or 3"):
        Config.load()


@pytest.mark.parametrize("name", ["resnet", "os:", "os.path", "a-b:c", "a:b:c", "../a:b", ""])
def test_an_unknown_network_lists_the_known_ones(name):
    with pytest.raises(ConfigError, match=r"^ARCHITECTURE: received .*: expected seed_cnn, .*:function"):
        Config.load(ARCHITECTURE=name)


@pytest.mark.parametrize(
    "name", ["/etc/passwd.h5", "../x.h5", "a/b.keras", "x.bin", ".h5", "file:///x.h5", "x.h5\n"]
)
def test_pretrained_weights_are_never_a_path(name):
    with pytest.raises(ConfigError, match=r"^PRETRAINED: received .*lies in PRETRAINED_DIR"):
        Config.load(PRETRAINED=name)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"ARCHITECTURE": "resnet_groupnorm", "TRAIN_STEP": "fast"}, "TRAIN_STEP: received 'fast' with ARCH"),
        ({"ARCHITECTURE": "my.net:build", "TRAIN_STEP": "fast"}, "TRAIN_STEP: received 'fast' with ARCH"),
        ({"PRETRAINED": "imagenet"}, "PRETRAINED: .* weights from ImageNet for mobilenet_v3_small, "),
        (
            {"ARCHITECTURE": "resnet_groupnorm", "BATCH_NORM": "local"},
            "BATCH_NORM: .* no batch normalization",
        ),
        (
            {"ARCHITECTURE": "seed_cnn_groupnorm", "BATCH_NORM_MOMENTUM": 0.5},
            "BATCH_NORM_MOMENTUM: received 0.5",
        ),
        ({"TRAIN_BODY": False}, "TRAIN_BODY: received False with ARCHITECTURE=seed_cnn"),
        ({"ARCHITECTURE": "mobilenet_v3_small", "TRAIN_BODY": False}, "TRAIN_BODY: .* with PRETRAINED=none"),
        ({"PRECISION": "mixed_bfloat16", "TRAIN_STEP": "fast"}, "PRECISION: .* set TRAIN_STEP=plain"),
        (
            {"PRECISION": "mixed_float16", "STRATEGY": "scaffold", "OPTIMIZER": "sgd"},
            "PRECISION: .* set PRECISION=mixed_bfloat16",
        ),
    ],
)
def test_what_a_network_or_a_precision_cannot_do_is_refused(settings, told):
    with pytest.raises(ConfigError, match=f"^{told}"):
        Config.load(**settings)


def test_what_a_network_can_do_is_accepted():
    Config.load(ARCHITECTURE="my.net:build", BATCH_NORM="local", BATCH_NORM_MOMENTUM=0.5, PRETRAINED="a.h5")
    Config.load(
        ARCHITECTURE="mobilenet_v3_small", PRETRAINED="imagenet", TRAIN_BODY="false", BATCH_NORM="local"
    )
    Config.load(PRECISION="mixed_bfloat16", STRATEGY="scaffold", OPTIMIZER="sgd", XLA=True)
    with pytest.raises(ConfigError, match=r"^INPUT_SHAPE: received \(14, 90\): ARCH.* at least 15x15"):
        Config.load(INPUT_SHAPE="14,90").check_input_shape()


def test_what_is_a_machines_own_does_not_travel():
    own = {"OWN_ARCHITECTURES", "PRETRAINED_DIR", "GPU"}
    assert not own & set(Config.load().for_run())
    assert Config.load(OWN_ARCHITECTURES="a.x:b, c:d").OWN_ARCHITECTURES == ("a.x:b", "c:d")
    for gpu in ("-1", "0,1", "gpu", "none "):
        with pytest.raises(ConfigError, match=r"^GPU"):
            Config.load(GPU=gpu)


def test_an_unknown_augmentation_lists_the_known_ones():
    with pytest.raises(
        ConfigError, match=r"^AUGMENTATION: received 'heavy': expected readme, light, strong, none"
    ):
        Config.load(AUGMENTATION="heavy")
