"""Command lines of `run.py repeat` and `tune`."""

import pytest

from commands.repeat import COMMAND, make_parser
from commands.several_trainings import SeveralTrainings, check_free, without_run
from helpers.run_records.files import RunFolders
from helpers.settings.errors import UserError


def test_options_of_the_trainings_and_of_all_together(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--folds", "3", "--run", "mine", "--epochs", "2", "--workers", "2", "--data-dir", "my images"]
    command = SeveralTrainings.of(COMMAND, make_parser, words)
    assert command.words == ["--epochs", "2", "--data-dir", "my images"]
    assert (command.name, command.config.EPOCHS, command.options.folds) == ("mine", 2, 3)
    again = "python run.py repeat --folds 3 --epochs 2 --workers 2 --data-dir 'my images' --run mine"
    assert command.again == again


def test_the_name_of_a_run_is_not_taken(tmp_path):
    folders = RunFolders(tmp_path / "metrics/mine", tmp_path / "models/mine")
    check_free(folders, "mine")
    folders.metrics.mkdir(parents=True)
    (folders.metrics / "repeat.csv").touch()
    check_free(folders, "mine")
    (folders.metrics / "run.json").touch()
    with pytest.raises(UserError, match="--run mine: a run has this name"):
        check_free(folders, "mine")
    with pytest.raises(UserError, match="use letters"):
        check_free(folders, "a/b")


def test_options_without_the_name():
    words = ["--run", "a", "--epochs", "2", "--run=b", "--folds", "3"]
    assert without_run(words) == ["--epochs", "2", "--folds", "3"]


@pytest.mark.parametrize("option", [["--resume", "x"], ["--compare"], ["--overwrite"]])
def test_options_of_one_training_are_refused(tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="are for one training"):
        SeveralTrainings.of(COMMAND, make_parser, ["--folds", "2", *option])
