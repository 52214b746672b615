"""The trainings of `run.py repeat`."""

import argparse
import json

import pytest

from commands.repetitions import add_repetition_options, check_repetition_options, read_seeds, repetitions_of
from helpers.global_config import Config
from helpers.run_records.files import RunFolders
from helpers.settings.command_line import ArgumentParser
from helpers.settings.errors import ConfigError, UserError
from preprocessing.feed.prepared_data import PreparedData
from preprocessing.feed.run_data import with_data_settings
from tests.unit.preprocessing.prepare.patients import prepared


@pytest.fixture
def data(tmp_path, monkeypatch) -> PreparedData:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "preprocessed/noise").mkdir(parents=True)
    return prepared(tmp_path / "preprocessed/noise")


def planned(data: PreparedData, *arguments: str, **settings: object):
    parser = ArgumentParser()
    add_repetition_options(parser)
    options, config = parser.parse_args(arguments), Config.load(**settings)
    check_repetition_options(options, config)
    return repetitions_of(options, "mine", config, data)


def files_of_test(folder) -> list[str]:
    return PreparedData.open(folder).files("test")


def test_seeds_share_one_split_unless_they_split_again(data):
    repetitions = planned(data, "--seeds", "1..3")
    assert [one.run for one in repetitions] == ["mine-seed-1", "mine-seed-2", "mine-seed-3"]
    assert [one.options for one in repetitions] == [("--seed", "1"), ("--seed", "2"), ("--seed", "3")]
    assert len({one.folder for one in repetitions}) == 1
    assert sorted(files_of_test(repetitions[0].folder)) == sorted(data.files("test"))
    again = planned(data, "--seeds", "1,7", "--resplit")
    assert len({one.folder for one in again}) == 2
    assert files_of_test(again[0].folder) != files_of_test(again[1].folder)


def test_folds_columns_and_left_out_devices(data):
    folds = planned(data, "--folds", "3")
    assert [one.name for one in folds] == ["fold 1", "fold 2", "fold 3"]
    assert len({file for one in folds for file in files_of_test(one.folder)}) == 60
    columns = planned(data, "--fold-column", "fold")
    assert [one.run for one in columns] == ["mine-fold-1", "mine-fold-2", "mine-fold-3"]
    assert {one.folder for one in columns}.isdisjoint({one.folder for one in folds})
    devices = planned(data, "--leave-out", "device")
    assert [one.name for one in devices] == ["without A", "without B", "without C"]
    assert set(PreparedData.open(devices[1].folder).column("test", "device")) == {"B"}


def test_values_that_make_one_name_get_numbers(data):
    for entry in data.manifest["files"]:
        entry["columns"]["device"] = {"A": "GE 1", "B": "GE/1", "C": "GE-2"}[entry["columns"]["device"]]
    runs = [one.run for one in planned(data, "--leave-out", "device")]
    assert runs == ["mine-without-GE-1-1", "mine-without-GE-2-2", "mine-without-GE-1-3"]


@pytest.mark.parametrize(
    ("text", "seeds"), [("1..5", [1, 2, 3, 4, 5]), ("3,1", [3, 1]), ("1..2, 9", [1, 2, 9])]
)
def test_seeds_are_a_range_or_a_list(text, seeds):
    assert read_seeds(text) == seeds


@pytest.mark.parametrize("text", ["1", "1,1", "a", "1-3", "", "2..2"])
def test_other_seeds_are_refused(text):
    with pytest.raises(UserError, match="--seeds: received"):
        read_seeds(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--folds", "1"), "--folds: received 1; expected 2 to 20"),
        (("--folds", "3", "--resplit"), "--resplit: it is for --seeds"),
        ((), "repeat: say what is repeated"),
    ],
)
def test_mistakes_are_refused(data, arguments, message):
    with pytest.raises(UserError, match=message):
        planned(data, *arguments)


def test_a_seed_and_seeds_contradict_each_other(data):
    with pytest.raises(UserError, match="--seed and --seeds: give one"):
        planned(data, "--seeds", "1..2", SEED=3)


def finish(request, data: PreparedData) -> None:
    """Leave what a finished training leaves."""
    folders = RunFolders.of(request.config, request.run)
    folders.metrics.mkdir(parents=True, exist_ok=True)
    facts = {"settings": with_data_settings(request.config, data).for_run(), "data_digest": data.digest}
    (folders.metrics / "run.json").write_text(json.dumps(facts))
    (folders.metrics / "test.csv").touch()


def test_a_finished_training_is_skipped_if_settings_and_images_are_the_same(data):
    first = planned(data, "--seeds", "1..2")[0]
    words = ["--epochs", "2"]
    request = first.request(words, 2)
    assert (request.run, request.config.EPOCHS, request.config.SEED) == ("mine-seed-1", 2, 1)
    assert request.config.num_clients == 2
    assert "--overwrite" in request.arguments
    finish(request, PreparedData.open(first.folder))
    assert first.request(words, 2) is None
    with pytest.raises(ConfigError, match="mine-seed-1 is finished, but EPOCHS was 2, is 3; set it back"):
        first.request(["--epochs", "3"], 2)


def test_a_training_that_has_begun_is_continued(data):
    first = planned(data, "--seeds", "1..2")[0]
    request = first.request([], None)
    folders = RunFolders.of(request.config, request.run)
    folders.models.mkdir(parents=True)
    state = {"run": request.run, "round": 1, "weights_file": "w", "best_round": None, "best_roc_auc": None,
             "best_weights_file": None}  # fmt: skip
    facts = {"format": 1, "settings": request.config.for_run(), "versions": {}, "data_digest": ""}
    folders.state.write_text(json.dumps(facts | {"state": state}))
    again = first.request([], None)
    assert again.is_resumed
    assert again.arguments[-4:] == ["--resume", "mine-seed-1", "--preprocessed-dir", str(first.folder)]


def test_the_kinds_exclude_each_other(capsys):
    parser = argparse.ArgumentParser()
    add_repetition_options(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--folds", "2", "--seeds", "1..2"])
    assert "not allowed with argument" in capsys.readouterr().err
