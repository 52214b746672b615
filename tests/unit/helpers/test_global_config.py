"""The class Config: the settings of the original README, and what every declaration must have."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.global_config import Config

FIRST = ["INPUT_SHAPE", "num_workers", "EPOCHS", "BASE_LR", "TRAIN_BATCH_SIZE", "INPUT_DIM"]


def test_the_settings_of_the_original_come_first_with_its_defaults():
    assert list(Config.model_fields)[:6] == FIRST
    defaults = [(128, 128), 3, 10, 0.001, 2, 3]
    assert [getattr(Config, name) for name in FIRST] == defaults
    assert [getattr(Config.load(), name) for name in FIRST] == defaults


def test_every_setting_is_described():
    for name in Config.model_fields:
        assert Config.describe(name).text.endswith((".", ")."))


def test_a_config_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Config.load().EPOCHS = 5


def test_the_settings_of_a_machine_do_not_travel_with_a_run():
    sent = Config.load().for_run()
    assert {"EPOCHS", "INPUT_SHAPE", "SEED"} <= set(sent)
    folders = {"DATA_DIR", "PREPROCESSED_DIR", "METRICS_DIR", "MODELS_DIR", "PRETRAINED_DIR"}
    assert not (folders | {"REDIS_URL", "WEIGHT_STORE", "THREADS", "GPU", "OWN_ARCHITECTURES"}) & set(sent)


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


@pytest.mark.parametrize("variable", ["REDIS_URL", "DT_REDIS_URL"])
def test_the_password_of_redis_is_never_shown_and_never_travels(variable, monkeypatch):
    monkeypatch.setenv(variable, "redis://user:hush@example.org:6379/0")
    config = Config.load()
    assert config.REDIS_URL.get_secret_value() == "redis://user:hush@example.org:6379/0"
    for text in (repr(config), str(config), json.dumps(config.for_run()), repr(config.model_dump())):
        assert "hush" not in text


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("NUM_CLIENTS", "-1", "greater than or equal to 0"),
        ("CLIENT_FRACTION", "0", "greater than 0"),
        ("CLIENT_FRACTION", "1.1", "less than or equal to 1"),
        ("PARTITION", "lot", "'patient' or 'quantity'"),
        ("DIRICHLET_ALPHA", "0", "greater than 0"),
        ("DIRICHLET_ALPHA", "inf", "less than or equal to 1000000000"),
        ("EPOCHS", "many", "EPOCHS: received 'many': expected a whole number"),
        ("EPOCHS", "1.5", "expected a whole number"),
        ("BASE_LR", "0", "greater than 0"),
        ("BASE_LR", "11", "less than or equal to 10"),
        ("TEST_FRACTION", "1", "less than 1"),
        ("LR_SCALING", "cubic", "'none' or 'linear'"),
        ("WEIGHT_STORE", "folder", "'^(redis|file:///[^?#]+)$'"),
        ("WEIGHT_STORE", "file://weights", "'^(redis|file:///[^?#]+)$'"),
        ("WEIGHT_STORE", "file:///", "'^(redis|file:///[^?#]+)$'"),
        ("TRIM_FRACTION", "0.5", "TRIM_FRACTION: received '0.5': Input should be less than 0.5"),
        ("MAX_UPDATE_NORM", "inf", "MAX_UPDATE_NORM: received 'inf': Input should be a finite number"),
        ("SERVER_MOMENTUM", "1", "SERVER_MOMENTUM: received '1': Input should be less than 1"),
        ("SERVER_TAU", "0", "SERVER_TAU: received '0': Input should be greater than 0"),
        *[("GPU", gpu, "'^(none|\\d{0,3})$'") for gpu in ("-1", "0,1", "gpu", "none ")],
    ],
)
def test_a_value_out_of_range_is_refused(name, value, message, refused):
    assert message in refused(name, value)
