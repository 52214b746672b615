"""Values that follow from several settings."""

import json

import pytest

from helpers.global_config import Config
from helpers.settings.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "number"),
    [
        ({}, 3),
        ({"num_workers": 5}, 5),
        ({"num_workers": "5", "NUM_CLIENTS": 100}, 100),
        ({"num_workers": "auto"}, None),
        ({"PARTITION": "site"}, None),
        ({"PARTITION": "site", "NUM_CLIENTS": 4}, 4),
        ({"DATA_AT": "sites"}, None),
    ],
)
def test_the_number_of_clients(settings, number):
    config = Config.load(**settings)
    assert config.num_clients == number
    assert Config.from_run(json.loads(json.dumps(config.for_run()))) == config


def test_the_ids_of_the_clients():
    assert Config.load(NUM_CLIENTS=10, CLIENTS="9,2").clients_of(10) == [2, 9]
    assert Config.load(NUM_CLIENTS=2).clients_of(2) == [0, 1]
    by_site = Config.load(PARTITION="site", CLIENTS="0,3")  # their number is known with the data
    with pytest.raises(ConfigError, match="the number of clients is 3; use ids below"):
        by_site.clients_of(3)


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({}, 3),
        ({"NUM_CLIENTS": 10, "CLIENT_FRACTION": 0.25}, 3),
        ({"NUM_CLIENTS": 10, "CLIENTS": "1,5,7", "CLIENT_FRACTION": 0.5}, 2),
        ({"CLIENT_FRACTION": 0.01}, 1),
        ({"num_workers": "auto", "CLIENT_FRACTION": 0.5}, None),
    ],
)
def test_the_number_of_clients_in_a_round(settings, size):
    assert Config.load(**settings).cohort_size == size


def test_the_learning_rate_scales_with_the_workers_only_when_asked():
    settings = {"BASE_LR": 0.01, "num_workers": 4, "NUM_CLIENTS": 100}
    assert Config.load(**settings).learning_rate == 0.01
    assert Config.load(**settings, LR_SCALING="linear").learning_rate == 0.04


def test_class_names_have_a_default():
    assert Config.load().class_names == ("non-cancerous", "cancerous")
    assert Config.load(CLASS_NAMES="a,b,c").class_names == ("a", "b", "c")


def test_more_than_two_classes_have_no_threshold():
    Config.load(CLASS_NAMES="a,b", THRESHOLD="0.3").check_threshold()
    Config.load(CLASS_NAMES="a,b,c").check_threshold()
    with pytest.raises(ConfigError, match=r"THRESHOLD: received '0.3': with 3 classes the most probable one"):
        Config.load(CLASS_NAMES="a,b,c", THRESHOLD="0.3").check_threshold()


def test_images_must_be_large_enough_for_the_network():
    Config.load(INPUT_SHAPE="15,90").check_input_shape()
    with pytest.raises(ConfigError, match=r"^INPUT_SHAPE: received \(14, 90\): ARCH.* at least 15x15"):
        Config.load(INPUT_SHAPE="14,90").check_input_shape()


@pytest.mark.parametrize(
    ("settings", "is_trained"),
    [
        ({}, True),
        ({"PRETRAINED": "best.keras"}, True),  # no body: continues as it began
        ({"ARCHITECTURE": "efficientnet_lite0"}, True),
        ({"ARCHITECTURE": "efficientnet_lite0", "PRETRAINED": "package"}, False),
        ({"ARCHITECTURE": "efficientnet_lite0", "PRETRAINED": "best.keras"}, False),
        ({"ARCHITECTURE": "mobilenet_v3_small", "PRETRAINED": "imagenet"}, False),
        ({"ARCHITECTURE": "mobilenet_v3_small", "PRETRAINED": "imagenet", "BATCH_NORM": "average"}, True),
        ({"ARCHITECTURE": "mobilenet_v3_small", "PRETRAINED": "imagenet", "BATCH_NORM": "local"}, True),
        ({"PRETRAINED": "best.keras", "BATCH_NORM": "frozen"}, False),
    ],
)
def test_batch_normalization_is_fixed_where_a_body_is_pretrained(settings, is_trained):
    assert Config.load(**settings).trains_batch_norm is is_trained
