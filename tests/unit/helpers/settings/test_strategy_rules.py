"""Rules about STRATEGY, and settings whose meaning depends on it."""

import pytest

from helpers.federated.strategies.fedavg import FedAvg
from helpers.federated.strategies.krum import Krum
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
        (
            {"STRATEGY": "trimmed_mean"},
            "TRIM_FRACTION: received 0.2: of 3 clients a round this is less than one",
        ),
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
    assert "of 4 clients a round this is less than one" in trimmed.strategy.shortage(4)
    assert trimmed.strategy.shortage(5) == ""
    assert "= 5 clients, 4 take part" in Config.load(STRATEGY="krum", **changing).strategy.shortage(4)
    assert Config.load(**changing).strategy.shortage(1) == ""


def test_a_changed_copy_has_the_strategy_of_its_own_settings():
    config = Config.load(STRATEGY="krum", num_workers=5)
    assert isinstance(config.strategy, Krum)
    assert isinstance(config.model_copy(update={"STRATEGY": "fedavg"}).strategy, FedAvg)


@pytest.mark.parametrize("name", ["bulyan", "os:", "a-b:c"])
def test_an_unknown_strategy_lists_the_known_ones(name):
    with pytest.raises(ConfigError, match=r"^STRATEGY: received .*: expected fedavg, .*:Class"):
        Config.load(STRATEGY=name)


def test_a_users_own_class_must_be_allowed_and_be_a_strategy(tmp_path, monkeypatch):
    (tmp_path / "own_rules.py").write_text(
        "from helpers.federated.strategies import Strategy\nclass Mine(Strategy): ...\nclass Other: ...\n"
        "class Broken(Strategy):\n    def __init__(self, settings): self.rate = settings['RATE']\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="STRATEGY: received 'own_rules:Mine', which this machine"):
        Config.load(STRATEGY="own_rules:Mine")
    for name, message in (
        ("own_rules:Other", "own_rules:Other is not a subclass"),
        ("own_rules:Broken", r"own_rules:Broken\(settings\) failed: KeyError: 'RATE'"),
        ("own_rules:Missing", "own_rules has no function or class Missing"),
        ("no_such_rules:Mine", "importing no_such_rules failed"),
    ):
        with pytest.raises(ConfigError, match=f"^STRATEGY: .*{message}"):
            Config.load(STRATEGY=name, OWN_STRATEGIES=name)
    config = Config.load(STRATEGY="own_rules:Mine", OWN_STRATEGIES="own_rules:Mine")
    assert type(config.strategy).__name__ == "Mine"


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
