"""Configs of runs: what a worker makes of the settings that travel, and how often it validates them."""

import pytest

from helpers.global_config import Config
from helpers.settings import recipes
from helpers.settings.base import SettingsBase, config_of_run
from helpers.settings.description import setting
from helpers.settings.errors import ConfigError


def test_a_worker_keeps_its_own_folders(monkeypatch):
    monkeypatch.setenv("DT_DATA_DIR", "/elsewhere")
    config = Config.from_run(Config.load(EPOCHS=7).for_run())
    assert config.EPOCHS == 7
    assert str(config.DATA_DIR) == "/elsewhere"


def test_the_settings_of_a_run_are_validated_once_in_a_process():
    checked = []

    class Counted(SettingsBase):
        rules = (checked.append,)
        EPOCHS: int = setting(1, "Rounds.")
        FOLDER: str = setting("", "A folder.", local=True)

    first = Counted.from_run({"EPOCHS": 2})
    assert Counted.from_run({"EPOCHS": 2}) is first
    assert len(checked) == 1
    assert Counted.from_run({"EPOCHS": 3}).EPOCHS == 3
    assert len(checked) == 2
    assert Counted.run_setting_names() == {"EPOCHS"}
    assert Counted(EPOCHS=4, FOLDER="x").for_run() == {"EPOCHS": 4}
    assert len(checked) == 3  # the names of the settings need no config


def test_the_order_of_the_settings_of_a_run_does_not_matter():
    assert Config.from_run({"EPOCHS": 2, "SEED": 3}) is Config.from_run({"SEED": 3, "EPOCHS": 2})


def test_a_test_can_forget_the_configs_of_runs(monkeypatch):
    assert Config.from_run({}).THREADS == 0
    monkeypatch.setenv("DT_THREADS", "2")
    config_of_run.cache_clear()
    assert Config.from_run({}).THREADS == 2


def test_wrong_settings_of_a_run_are_refused_each_time():
    for _ in range(2):
        with pytest.raises(ConfigError, match="EPOCHS: received 0"):
            Config.from_run({"EPOCHS": 0})


def test_a_worker_needs_no_recipe(tmp_path, monkeypatch):
    settings = Config.load(RECIPE="ultrasound").for_run()
    monkeypatch.setattr(recipes, "FOLDER", tmp_path)
    config = Config.from_run(settings)
    assert (config.RECIPE, config.EPOCHS) == ("ultrasound", 24)
