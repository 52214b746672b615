"""The command line of the study of recipes."""

import pytest

from commands import training_options
from helpers.global_config import Config
from helpers.settings.command_line import config_from_arguments
from studies import recipes


def test_cases_and_seeds_can_be_chosen():
    options = recipes.parse(["--recipe", "ultrasound_small", "--cases", "pooled", "--seeds", "5"])
    assert (options.recipe, options.cases, options.seeds) == ("ultrasound_small", ["pooled"], [5])


def test_changes_of_the_small_recipe_are_not_cases_of_the_large_one(capsys):
    assert "readme" in recipes.parse(["--recipe", "ultrasound_small"]).cases
    assert "readme" not in recipes.parse([]).cases
    with pytest.raises(SystemExit):
        recipes.parse(["--cases", "readme"])
    assert "only with --recipe ultrasound_small" in capsys.readouterr().err


def test_each_group_of_changes_is_the_recipes_by_itself():
    """Every option of the README's values is that of one group, and each case leaves out one group."""
    values = {name: set(case.options) for name, case in recipes.CHANGES.items()}
    groups = {
        "training": recipes.TRAINING,
        "batch-norm": recipes.BATCH_NORM,
        "augmentation": recipes.AUGMENTATION,
    }
    for group, options in groups.items():
        assert not values[group] & {word for word in options if word.startswith("--")}
        assert set(options) <= values["readme"]
    config = {
        name: config_from_arguments(Config, training_options.parse(["--recipe", "readme", *case.options]))
        for name, case in recipes.CHANGES.items()
    }
    readme = Config.load()
    for name in ("OPTIMIZER", "BASE_LR", "MOMENTUM", "LR_SCHEDULE", "LOGIT_ADJUSTMENT", "EMA_DECAY"):
        assert getattr(config["readme"], name) == getattr(readme, name)
    assert config["readme"].BATCH_NORM_MOMENTUM == readme.BATCH_NORM_MOMENTUM
    assert config["readme"].AUGMENTATION == readme.AUGMENTATION


@pytest.mark.parametrize("seeds", [["0"], ["1", "1"]])
def test_wrong_seeds_are_refused(seeds, capsys):
    with pytest.raises(SystemExit) as caught:
        recipes.parse(["--seeds", *seeds])
    assert caught.value.code == 2
    assert "expected different whole numbers from 1 on" in capsys.readouterr().err
