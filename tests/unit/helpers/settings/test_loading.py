"""Sources of settings: the TOML file and the environment."""

import pytest

from helpers.global_config import Config
from helpers.settings.errors import ConfigError


@pytest.fixture
def file(tmp_path):
    return tmp_path / "settings.toml"


def test_the_environment_wins_over_the_file_and_arguments_over_both(file, monkeypatch):
    file.write_text("EPOCHS = 2\nTRAIN_BATCH_SIZE = 2\nSEED = 2\nPATIENCE = 2\n")
    monkeypatch.setenv("DT_EPOCHS", "3")
    monkeypatch.setenv("DT_TRAIN_BATCH_SIZE", "3")
    monkeypatch.setenv("DT_PATIENCE", "")  # an empty variable does not count
    config = Config.load(file, EPOCHS="4")
    assert (config.EPOCHS, config.TRAIN_BATCH_SIZE, config.SEED, config.PATIENCE) == (4, 3, 2, 2)
    assert Config().EPOCHS == 3
    assert config.model_fields_set == {"EPOCHS", "TRAIN_BATCH_SIZE", "SEED", "PATIENCE"}


def test_names_may_be_written_in_lower_case(file, monkeypatch):
    file.write_text("epochs = 2\nNUM_WORKERS = 4\nnum_liars = 3")
    monkeypatch.setenv("dt_seed", "5")
    config = Config.load(file)
    assert (config.EPOCHS, config.num_workers, config.NUM_MALICIOUS, config.SEED) == (2, 4, 3, 5)


def test_redis_has_a_variable_without_the_prefix_which_wins(file, monkeypatch):
    file.write_text('REDIS_URL = "redis://file/0"\n')
    assert Config.load(file).REDIS_URL.get_secret_value() == "redis://file/0"
    monkeypatch.setenv("DT_REDIS_URL", "redis://prefix/0")
    assert Config.load(file).REDIS_URL.get_secret_value() == "redis://prefix/0"
    monkeypatch.setenv("REDIS_URL", "redis://bare/0")
    assert Config.load(file).REDIS_URL.get_secret_value() == "redis://bare/0"


def test_an_unknown_name_suggests_the_nearest(file, monkeypatch):
    file.write_text("EPOCH = 2\n")
    with pytest.raises(
        ConfigError, match=r"settings\.toml: EPOCH: there is no such setting; did you mean EPOCHS\?"
    ):
        Config.load(file)
    with pytest.raises(ConfigError, match=r"^SED: there is no such setting; did you mean SEED\?"):
        Config.load(SED=1)
    monkeypatch.setenv("DT_EPOCH", "2")
    with pytest.raises(ConfigError, match=r"variable DT_EPOCH: there is no such setting; .* DT_EPOCHS\?"):
        Config.load()


def test_a_file_that_cannot_be_read_is_named(file):
    with pytest.raises(ConfigError, match=r"settings\.toml: not found"):
        Config.load(file)
    file.write_text("EPOCHS = = 2\n")
    with pytest.raises(ConfigError, match=r"settings\.toml: Invalid value"):
        Config.load(file)
    file.write_bytes(b"# \xff\n")
    with pytest.raises(ConfigError, match=r"settings\.toml: .*utf-8"):
        Config.load(file)


def test_a_former_name_is_accepted_from_every_source(file, monkeypatch):
    file.write_text("NUM_LIARS = 2\n")
    assert Config.load(file).NUM_MALICIOUS == 2
    monkeypatch.setenv("DT_NUM_LIARS", "3")
    assert Config.load(file).NUM_MALICIOUS == 3
    assert Config.load(file, NUM_LIARS=4).NUM_MALICIOUS == 4
    monkeypatch.setenv("DT_NUM_MALICIOUS", "3")
    with pytest.raises(ConfigError, match=r"^NUM_LIARS and NUM_MALICIOUS: both are set"):
        Config.load()


def test_several_wrong_values_are_listed_in_one_line():
    with pytest.raises(ConfigError, match=r"^EPOCHS: received '0': .*; SEED: received 'x': [^\n]*$"):
        Config.load(EPOCHS="0", SEED="x")
