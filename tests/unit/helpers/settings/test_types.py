"""Types of the settings: how text is parsed, and which values are refused."""

import pytest

from helpers.global_config import Config
from helpers.settings.errors import ConfigError


@pytest.mark.parametrize("text", ["64,32", "64x32", "[64,32]", "(64, 32)"])
def test_a_pair_may_be_written_in_several_ways(text):
    assert Config.load(INPUT_SHAPE=text).INPUT_SHAPE == (64, 32)


def test_the_channels_may_be_written_as_text():
    assert Config.load(INPUT_DIM="1").INPUT_DIM == 1


def test_a_list_may_be_written_as_text():
    assert Config.load(CLIENTS="0,2").CLIENTS == (0, 2)
    assert Config.load(OWN_ARCHITECTURES="a.x:b, c:d").OWN_ARCHITECTURES == ("a.x:b", "c:d")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("num_workers", "0", "greater than or equal to 1"),
        ("num_workers", "10001", "at most 10000"),
        ("num_workers", "1.5", "whole number"),
        ("num_workers", "all", "or auto"),
        ("INPUT_SHAPE", "0,64", "greater than 0"),
        ("INPUT_SHAPE", "64", "such as 64,64"),
        ("INPUT_SHAPE", "64,64x", "such as 64,64"),
        ("INPUT_SHAPE", "64,64,", "such as 64,64"),
        ("BASE_LR", "small", "expected a number"),
        ("TRAIN_BODY", "maybe", "expected true or false"),
        ("INPUT_DIM", "2", "1 or 3"),
        ("INPUT_DIM", "gray", "1 or 3"),
    ],
)
def test_a_wrong_value_is_refused(name, value, message, refused):
    assert message in refused(name, value)


@pytest.mark.parametrize("name", ["resnet", "os:", "os.path", "a-b:c", "a:b:c", "../a:b", ""])
def test_an_unknown_network_lists_the_known_ones(name):
    with pytest.raises(ConfigError, match=r"^ARCHITECTURE: received .*: expected seed_cnn, .*:function"):
        Config.load(ARCHITECTURE=name)


@pytest.mark.parametrize(
    "name", ["/etc/passwd.h5", "../x.h5", "a/b.keras", "x.bin", ".h5", "file:///x.h5", "x.h5\n"]
)
def test_pretrained_weights_are_never_a_path(name):
    with pytest.raises(ConfigError, match=r"^PRETRAINED: received .* in PRETRAINED_DIR"):
        Config.load(PRETRAINED=name)


def test_an_unknown_augmentation_lists_the_known_ones():
    with pytest.raises(
        ConfigError, match=r"^AUGMENTATION: received 'heavy': expected readme, light, strong, ultrasound, "
    ):
        Config.load(AUGMENTATION="heavy")


def test_class_names_may_be_written_as_text():
    assert Config.load(CLASS_NAMES="a, b").CLASS_NAMES == ("a", "b")
    assert Config.load(CLASS_NAMES='["a, b", "c"]').CLASS_NAMES == ("a, b", "c")
    for names in ("a", "a,a", "a,,b", '["a", "b"', ["a", "x" * 101], ["a", "two\nlines"]):
        with pytest.raises(ConfigError, match="CLASS_NAMES: received"):
            Config.load(CLASS_NAMES=names)
