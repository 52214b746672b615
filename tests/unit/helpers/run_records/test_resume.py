"""Resuming a run: with which settings it goes on, and when it is refused."""

import pytest

from helpers.federated.results import RunState
from helpers.global_config import Config
from helpers.run_records.checkpoint import commit, read_state
from helpers.run_records.files import RunFolders
from helpers.run_records.resume import check_same, config_to_resume
from helpers.settings.errors import ConfigError


@pytest.fixture
def folders(tmp_path):
    """Folders of a run that version 0.1.0 stored, before a setting was renamed."""
    folders = RunFolders(tmp_path / "metrics", tmp_path / "models")
    settings = Config.load(EPOCHS=7, NUM_MALICIOUS=2).for_run()
    settings["NUM_LIARS"] = settings.pop("NUM_MALICIOUS")
    facts = {"settings": settings, "data_digest": "d", "versions": {}}
    commit(folders, RunState("r", 1, "w", None, None, None), facts)
    return folders


def test_a_run_goes_on_with_its_settings_unless_they_are_set_again(folders):
    config = config_to_resume(folders, Config.load(EPOCHS=9))
    assert (config.EPOCHS, config.NUM_MALICIOUS) == (9, 2)
    assert config_to_resume(folders, Config.load(NUM_MALICIOUS=0)).NUM_MALICIOUS == 0


def test_a_run_keeps_its_recipe_and_what_was_set_above_it(folders):
    state, facts = read_state(folders)
    settings = Config.load(RECIPE="ultrasound", EPOCHS=3).for_run()
    commit(folders, state, {**facts, "settings": settings})
    assert config_to_resume(folders, Config.load()).for_run() == settings
    assert (
        config_to_resume(folders, Config.load(RECIPE="ultrasound")).EPOCHS == 24
    )  # which check_same refuses


def test_a_renamed_setting_is_no_difference(folders):
    facts = {
        "settings": config_to_resume(folders, Config.load()).for_run(),
        "data_digest": "d",
        "versions": {},
    }
    check_same(folders, facts, force=False)


def test_a_changed_setting_is_a_difference(folders):
    settings = config_to_resume(folders, Config.load(NUM_MALICIOUS=1)).for_run()
    with pytest.raises(ConfigError, match="NUM_MALICIOUS was 2, is 1"):
        check_same(folders, {"settings": settings, "data_digest": "d", "versions": {}}, force=False)


def test_an_edited_setting_is_named_with_its_file(folders):
    state, facts = read_state(folders)
    commit(folders, state, {**facts, "settings": {"EPOCHS": "many"}})
    with pytest.raises(ConfigError, match=r"state\.json: EPOCHS: received 'many'"):
        config_to_resume(folders, Config.load())
