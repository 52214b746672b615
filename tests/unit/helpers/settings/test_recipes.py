"""Recipes: what their files say, and where they stand among the sources of settings."""

import tomllib

import pytest

from helpers.global_config import Config
from helpers.settings.errors import ConfigError
from helpers.settings.loading import read_file
from helpers.settings.recipes import FOLDER, read_recipe, recipe_names

ALWAYS_STATED = {"INPUT_SHAPE"}
"""Stated although it may be the default: a stated size prepares images at it, and refuses others."""


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_loads_and_sets_what_differs_from_the_defaults(name):
    settings = read_recipe(name, Config.model_fields)
    config = Config.load(RECIPE=name)
    assert config.model_fields_set == {"RECIPE", *settings}
    is_default = {setting: getattr(config, setting) == getattr(Config, setting) for setting in settings}
    if name == "readme":
        assert all(is_default.values())
    else:
        assert {setting for setting, equal in is_default.items() if equal} <= ALWAYS_STATED
    assert ALWAYS_STATED <= settings.keys() <= Config.run_setting_names()  # those of a machine are the user's


def test_the_file_the_environment_and_the_command_line_win_over_a_recipe(tmp_path, monkeypatch):
    file = tmp_path / "settings.toml"
    file.write_text('RECIPE = "readme"\nEPOCHS = 2\nTRAIN_BATCH_SIZE = 3\nBASE_LR = 0.5\n')
    monkeypatch.setenv("DT_RECIPE", "ultrasound_small")
    monkeypatch.setenv("DT_EPOCHS", "4")
    config = Config.load(file, BASE_LR=0.25)
    assert (config.RECIPE, config.OPTIMIZER) == ("ultrasound_small", "sgd")
    assert (config.EPOCHS, config.TRAIN_BATCH_SIZE, config.BASE_LR) == (4, 3, 0.25)
    assert Config.load(file, RECIPE="").RECIPE == ""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ultrasond", r"^RECIPE: ultrasond: there is no such recipe; did you mean ultrasound\?$"),
        ("../recipes/readme", "there is no such recipe"),
        (5, "^RECIPE: 5: there is no such recipe; --help lists them all$"),
    ],
)
def test_a_wrong_name_suggests_the_nearest(name, message):
    with pytest.raises(ConfigError, match=message):
        Config.load(RECIPE=name)


def test_the_help_names_all_recipes():
    assert all(f"`{name}`" in Config.describe("RECIPE").text for name in recipe_names())
    assert {"readme", "ultrasound", "ultrasound_small"} <= set(recipe_names())


def test_the_names_of_settings_in_recipes_are_spelled_as_declared():
    for name in recipe_names():
        file = FOLDER / f"{name}.toml"
        assert read_file(file, Config.model_fields) == tomllib.loads(file.read_text())
