"""Settings: where values come from, what is refused and how it is said, and the page made from them."""

import argparse
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.global_config import (
    Config,
    ConfigError,
    add_settings,
    config_from_arguments,
    configuration_page,
    describe,
)

PAGE = Path(__file__).resolve().parents[3] / "docs" / "configuration.md"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    for name in ("REDIS_URL", *(f"DT_{name.upper()}" for name in Config.model_fields)):
        monkeypatch.delenv(name, raising=False)


def from_command_line(*words: str) -> Config:
    parser = argparse.ArgumentParser()
    add_settings(parser)
    return config_from_arguments(parser.parse_args(words))


def test_the_five_settings_of_the_original_have_its_names_and_defaults():
    defaults = (
        Config.INPUT_SHAPE,
        Config.num_workers,
        Config.EPOCHS,
        Config.BASE_LR,
        Config.TRAIN_BATCH_SIZE,
    )
    assert defaults == ((128, 128), 3, 10, 0.001, 2)
    made = Config.load()
    assert defaults == (
        made.INPUT_SHAPE,
        made.num_workers,
        made.EPOCHS,
        made.BASE_LR,
        made.TRAIN_BATCH_SIZE,
    )


def test_later_sources_win(tmp_path, monkeypatch):
    file = tmp_path / "settings.toml"
    file.write_text("EPOCHS = 2\nTRAIN_BATCH_SIZE = 2\nSEED = 2\n")
    monkeypatch.setenv("DT_EPOCHS", "3")
    monkeypatch.setenv("DT_TRAIN_BATCH_SIZE", "3")
    config = from_command_line("--config", str(file), "--epochs", "4")
    assert (config.EPOCHS, config.TRAIN_BATCH_SIZE, config.SEED) == (4, 3, 2)


@pytest.mark.parametrize("text", ["64,32", "64x32", "[64,32]", "(64, 32)"])
def test_a_pair_may_be_written_in_several_ways(text, monkeypatch):
    assert from_command_line("--input-shape", text).INPUT_SHAPE == (64, 32)
    monkeypatch.setenv("DT_INPUT_SHAPE", text)
    assert Config.load().INPUT_SHAPE == (64, 32)


def test_the_channels_may_be_written_as_text(monkeypatch):
    assert Config().INPUT_DIM == 3
    assert from_command_line("--input-dim", "1").INPUT_DIM == 1
    monkeypatch.setenv("DT_INPUT_DIM", "1")
    assert Config.load().INPUT_DIM == 1


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("num_workers", "0", "greater than or equal to 1"),
        ("num_workers", "10001", "at most 10000"),
        ("num_workers", "1.5", "whole number"),
        ("num_workers", "all", "or auto"),
        ("NUM_CLIENTS", "-1", "greater than or equal to 0"),
        ("CLIENT_FRACTION", "0", "greater than 0"),
        ("CLIENT_FRACTION", "1.1", "less than or equal to 1"),
        ("PARTITION", "lot", "'patient' or 'quantity'"),
        ("DIRICHLET_ALPHA", "0", "greater than 0"),
        ("DIRICHLET_ALPHA", "inf", "less than or equal to 1000000000"),
        ("EPOCHS", "many", "valid integer"),
        ("EPOCHS", "1.5", "valid integer"),
        ("BASE_LR", "0", "greater than 0"),
        ("BASE_LR", "11", "less than or equal to 10"),
        ("TEST_FRACTION", "1", "less than 1"),
        ("LR_SCALING", "cubic", "'none' or 'linear'"),
        ("WEIGHT_STORE", "folder", "'^(redis|file:///[^?#]+)$'"),
        ("WEIGHT_STORE", "file://weights", "'^(redis|file:///[^?#]+)$'"),
        ("WEIGHT_STORE", "file:///", "'^(redis|file:///[^?#]+)$'"),
        ("INPUT_SHAPE", "0,64", "greater than 0"),
        ("INPUT_SHAPE", "64", "such as 64,64"),
        ("INPUT_DIM", "2", "1 or 3"),
        ("INPUT_DIM", "gray", "1 or 3"),
    ],
)
def test_a_wrong_value_is_refused_by_setting_value_and_range(name, value, said, monkeypatch):
    monkeypatch.setenv(f"DT_{name.upper()}", value)
    with pytest.raises(ConfigError) as caught:
        Config.load()
    message = str(caught.value)
    assert name in message
    assert value.split(",")[0] in message
    assert said in message
    assert "\n" not in message


@given(st.integers(max_value=0))
def test_no_number_below_the_range_is_taken(value):
    with pytest.raises(ConfigError, match=f"TRAIN_BATCH_SIZE: received '{value}'"):
        Config.load(TRAIN_BATCH_SIZE=str(value))


@given(
    shape=st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    clients=st.integers(1, 10_000),
    rate=st.floats(1e-9, 10),
    seed=st.integers(0, 2**32 - 1),
)
def test_settings_survive_the_journey_to_a_worker(shape, clients, rate, seed):
    config = Config.load(INPUT_SHAPE=shape, num_workers=clients, BASE_LR=rate, SEED=seed)
    sent = json.loads(json.dumps(config.for_run()))
    assert Config.from_run(sent) == config


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"STRATEGY": "krum"},
            "NUM_MALICIOUS: received 1: STRATEGY=krum needs 2 · NUM_MALICIOUS + 3 = 5 clients, 3 take",
        ),
        ({"STRATEGY": "multi_krum", "NUM_MALICIOUS": 2, "num_workers": 6}, "= 7 clients, 6 take part"),
        ({"STRATEGY": "krum", "num_workers": 9, "CLIENTS": (0, 1, 2, 3)}, "4 take part in a round"),
        ({"STRATEGY": "trimmed_mean"}, "TRIM_FRACTION: received 0.2: of 3 clients a round less than one"),
        ({"TRIM_FRACTION": 0.5}, "TRIM_FRACTION: received 0.5: Input should be less than 0.5"),
        ({"MAX_UPDATE_NORM": "inf"}, "MAX_UPDATE_NORM: received 'inf': Input should be a finite number"),
        ({"SERVER_MOMENTUM": 1}, "SERVER_MOMENTUM: received 1: Input should be less than 1"),
        ({"SERVER_TAU": 0}, "SERVER_TAU: received 0: Input should be greater than 0"),
        (
            {"STRATEGY": "bulyan"},
            "STRATEGY: received 'bulyan': Input should be 'fedavg', 'fedavg_unweighted'",
        ),
    ],
)
def test_a_strategy_that_cannot_do_what_it_says_is_refused(settings, said):
    with pytest.raises(ConfigError) as caught:
        Config.load(**settings)
    assert said in str(caught.value)


def test_a_strategy_with_just_enough_clients_is_taken():
    Config.load(STRATEGY="krum", num_workers=5)
    Config.load(STRATEGY="krum", NUM_MALICIOUS=0)
    Config.load(STRATEGY="trimmed_mean", TRIM_FRACTION=0.34)
    Config.load(STRATEGY="median", num_workers=1)


@pytest.mark.parametrize("changing", [{"num_workers": "auto"}, {"DATA_AT": "sites"}, {"PARTITION": "site"}])
def test_where_the_number_of_clients_is_known_later_so_is_what_a_strategy_lacks(changing):
    trimmed = Config.load(STRATEGY="trimmed_mean", **changing)
    assert "of 4 clients a round less than one" in trimmed.shortage(4)
    assert trimmed.shortage(5) == ""
    assert "= 5 clients, 4 take part" in Config.load(STRATEGY="krum", **changing).shortage(4)
    assert Config.load(**changing).shortage(1) == ""


def test_the_servers_learning_rate_depends_on_the_strategy_unless_set():
    assert Config.load(STRATEGY="fedavgm").server_learning_rate == 1
    assert Config.load(STRATEGY="fedadam").server_learning_rate == 0.01
    assert Config.load(STRATEGY="fedavgm", SERVER_LEARNING_RATE=0.5).server_learning_rate == 0.5


def test_unknown_names_are_refused(tmp_path, monkeypatch):
    file = tmp_path / "settings.toml"
    file.write_text("EPOCH = 2\n")
    with pytest.raises(ConfigError, match=r"EPOCH: there is no such setting; docs/configuration\.md"):
        Config.load(file)
    with pytest.raises(ConfigError, match=r"missing\.toml: not found"):
        Config.load(tmp_path / "missing.toml")
    monkeypatch.setenv("DT_EPOCH", "2")
    with pytest.raises(ConfigError, match="environment variable DT_EPOCH: there is no such setting"):
        Config.load()


def test_a_broken_settings_file_is_named(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("EPOCHS = = 2\n")
    with pytest.raises(ConfigError, match=r"settings\.toml"):
        Config.load(file)


@pytest.mark.parametrize("variable", ["REDIS_URL", "DT_REDIS_URL"])
def test_the_password_of_redis_is_never_shown_and_never_travels(variable, monkeypatch):
    monkeypatch.setenv(variable, "redis://user:hush@example.org:6379/0")
    config = Config.load()
    assert config.REDIS_URL.get_secret_value() == "redis://user:hush@example.org:6379/0"
    for text in (repr(config), str(config), json.dumps(config.for_run()), repr(config.model_dump())):
        assert "hush" not in text


def test_what_belongs_to_a_machine_does_not_travel():
    sent = Config.load().for_run()
    assert {"EPOCHS", "INPUT_SHAPE", "SEED"} <= set(sent)
    places = {"REDIS_URL", "WEIGHT_STORE", "DATA_DIR", "PREPROCESSED_DIR", "METRICS_DIR", "MODELS_DIR"}
    assert not (places | {"THREADS"}) & set(sent)


def test_a_worker_keeps_its_own_places(monkeypatch):
    monkeypatch.setenv("DT_DATA_DIR", "/elsewhere")
    config = Config.from_run(Config.load(EPOCHS=7).for_run())
    assert config.EPOCHS == 7
    assert str(config.DATA_DIR) == "/elsewhere"


def test_a_config_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Config.load().EPOCHS = 5


def test_learning_rate_scales_with_the_clients_only_when_asked():
    assert Config.load(BASE_LR=0.01, num_workers=4).learning_rate == 0.01
    assert Config.load(BASE_LR=0.01, num_workers=4, LR_SCALING="linear").learning_rate == 0.04


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "OPTIMIZER: received 'adam': STRATEGY=scaffold .* set OPTIMIZER=sgd"),
        (
            {"OPTIMIZER": "sgd", "UPDATE_DTYPE": "int8"},
            "UPDATE_DTYPE: received 'int8': .* set UPDATE_DTYPE=float32",
        ),
    ],
)
def test_scaffold_says_what_it_needs(settings, told):
    with pytest.raises(ConfigError, match=told):
        Config.load(STRATEGY="scaffold", **settings)
    assert Config.load(STRATEGY="scaffold", OPTIMIZER="sgd", BATCH_NORM="local").STRATEGY == "scaffold"


def test_every_setting_says_what_it_is_and_has_an_option():
    parser = argparse.ArgumentParser()
    add_settings(parser)
    options = parser.format_help()
    for name in Config.model_fields:
        assert describe(name)["description"].endswith((".", ")."))
        has_option = "--" + name.lower().replace("_", "-") in options
        # A password on a command line is for all to see; workers have both from their environment.
        assert has_option == (name not in ("REDIS_URL", "WEIGHT_STORE"))


def test_the_configuration_page_is_current():
    remedy = "renew it: python -m helpers.global_config > docs/configuration.md"
    assert PAGE.read_text(encoding="utf-8") == configuration_page(), remedy


@pytest.mark.parametrize(
    ("settings", "number"),
    [
        ({}, 3),
        ({"num_workers": 5}, 5),
        ({"num_workers": "5", "NUM_CLIENTS": 100}, 100),
        ({"num_workers": "auto"}, None),
        ({"PARTITION": "site"}, None),
        ({"PARTITION": "site", "NUM_CLIENTS": 4}, 4),
    ],
)
def test_how_many_clients_there_are(settings, number):
    config = Config.load(**settings)
    assert config.num_clients == number
    assert Config.from_run(json.loads(json.dumps(config.for_run()))) == config


def test_clients_are_named_among_those_there_are():
    assert Config.load(NUM_CLIENTS=10, CLIENTS="9,2").clients_of(10) == [2, 9]
    assert Config.load(NUM_CLIENTS=2).clients_of(2) == [0, 1]
    with pytest.raises(ConfigError, match=r"CLIENTS: received \(0, 3\), the number of clients is 3"):
        Config.load(CLIENTS="0,3")
    by_site = Config.load(PARTITION="site", CLIENTS="0,3")  # how many there are, the data tell later
    with pytest.raises(ConfigError, match="the number of clients is 3"):
        by_site.clients_of(3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NUM_CLIENTS", 4),
        ("CLIENTS", "0,1"),
        ("PARTITION", "site"),
        ("LR_SCALING", "linear"),
        ("UPDATE_DTYPE", "int8"),
        ("STRATEGY", "scaffold"),
        ("BATCH_NORM", "local"),
    ],
)
def test_what_needs_a_fixed_number_of_clients_is_refused_with_auto(name, value):
    optimizer = "sgd" if value == "scaffold" else "adam"
    Config.load(**{name: value}, OPTIMIZER=optimizer)
    with pytest.raises(
        ConfigError, match=f"^{name}: received .* with num_workers=auto: .*; set num_workers to"
    ):
        Config.load(num_workers="auto", **{name: value}, OPTIMIZER=optimizer)


def test_the_learning_rate_scales_with_the_workers_whatever_the_number_of_clients():
    settings = {"BASE_LR": 0.01, "num_workers": 4, "NUM_CLIENTS": 100}
    assert Config.load(**settings, LR_SCALING="linear").learning_rate == 0.04


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
def test_how_many_clients_take_part_in_a_round(settings, size):
    assert Config.load(**settings).cohort_size == size


def test_a_number_that_may_be_auto_is_described_as_such():
    assert describe("num_workers")["type"] == "int or `auto`"
    assert "Literal" not in configuration_page()


def test_class_names_are_read_from_text_and_of_more_than_two_there_is_no_threshold():
    assert Config.load(CLASS_NAMES="a, b").class_names == ("a", "b")
    assert Config.load(CLASS_NAMES='["a, b", "c"]').class_names == ("a, b", "c")
    assert Config.load().class_names == ("non-cancerous", "cancerous")
    for bad in ("a", "a,a", "a,,b", '["a", "b"', ["a", "x" * 101], ["a", "two\nlines"]):
        with pytest.raises(ConfigError, match="CLASS_NAMES: received"):
            Config.load(CLASS_NAMES=bad)
    Config.load(CLASS_NAMES="a,b", THRESHOLD="0.3").check_threshold()
    Config.load(CLASS_NAMES="a,b,c").check_threshold()
    with pytest.raises(ConfigError, match=r"THRESHOLD: received '0.3': of 3 classes the most probable one"):
        Config.load(CLASS_NAMES="a,b,c", THRESHOLD="0.3").check_threshold()
