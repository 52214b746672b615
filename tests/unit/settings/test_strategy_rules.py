"""Rules about STRATEGY, and settings whose meaning depends on it."""

import pytest

from helpers.global_config import Config
from helpers.settings.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"STRATEGY": "krum"},
            "NUM_MALICIOUS: received 1: STRATEGY=krum needs 2 · NUM_MALICIOUS + 3 = 5 clients, 3 take",
        ),
        ({"STRATEGY": "multi_krum", "NUM_MALICIOUS": 2, "num_workers": 6}, "= 7 clients, 6 take part"),
        ({"STRATEGY": "krum", "num_workers": 9, "CLIENTS": (0, 1, 2, 3)}, "4 take part in a round"),
        ({"STRATEGY": "trimmed_mean"}, "TRIM_FRACTION: received 0.2: of 3 clients a round less than one"),
    ],
)
def test_a_strategy_with_too_few_clients_is_refused(settings, message):
    with pytest.raises(ConfigError) as caught:
        Config.load(**settings)
    assert message in str(caught.value)


def test_a_strategy_with_just_enough_clients_is_accepted():
    Config.load(STRATEGY="krum", num_workers=5)
    Config.load(STRATEGY="krum", NUM_MALICIOUS=0)
    Config.load(STRATEGY="trimmed_mean", TRIM_FRACTION=0.34)
    Config.load(STRATEGY="median", num_workers=1)


@pytest.mark.parametrize("changing", [{"num_workers": "auto"}, {"DATA_AT": "sites"}, {"PARTITION": "site"}])
def test_a_number_of_clients_that_is_known_later_is_checked_later(changing):
    trimmed = Config.load(STRATEGY="trimmed_mean", **changing)
    assert "of 4 clients a round less than one" in trimmed.shortage(4)
    assert trimmed.shortage(5) == ""
    assert "= 5 clients, 4 take part" in Config.load(STRATEGY="krum", **changing).shortage(4)
    assert Config.load(**changing).shortage(1) == ""


def test_the_learning_rate_of_the_server_depends_on_the_strategy_unless_set():
    assert Config.load(STRATEGY="fedavgm").server_learning_rate == 1
    assert Config.load(STRATEGY="fedadam").server_learning_rate == 0.01
    assert Config.load(STRATEGY="fedavgm", SERVER_LEARNING_RATE=0.5).server_learning_rate == 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"OPTIMIZER": "adam"}, "OPTIMIZER: received 'adam': STRATEGY=scaffold .* set OPTIMIZER=sgd"),
        ({"UPDATE_DTYPE": "int8"}, "UPDATE_DTYPE: received 'int8': .* set UPDATE_DTYPE=float32"),
        ({"PRECISION": "mixed_float16"}, "PRECISION: .* set PRECISION=mixed_bfloat16"),
        ({"num_workers": "auto"}, "STRATEGY: received .* with num_workers=auto: .*; set num_workers to"),
    ],
)
def test_scaffold_names_the_setting_that_it_excludes(settings, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        Config.load(**{"STRATEGY": "scaffold", "OPTIMIZER": "sgd", **settings})


def test_scaffold_is_accepted_with_plain_sgd():
    Config.load(STRATEGY="scaffold", OPTIMIZER="sgd", BATCH_NORM="local")
    Config.load(STRATEGY="scaffold", OPTIMIZER="sgd", PRECISION="mixed_bfloat16", XLA=True)
