"""What the options of a training are checked for before anything starts, and what is added to them."""

import pytest

from commands.run_request import RunRequest
from helpers.settings.errors import ConfigError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("options", "number"),
    [
        ([], 5),
        (["--num-workers", "2"], 2),
        (["--num-clients", "7"], 7),
        (["--partition", "site"], None),
        (["--partition", "iid"], 5),
    ],
)
def test_there_is_a_client_for_each_worker_unless_a_setting_says_otherwise(options, number):
    request = RunRequest.of(options, 5)
    assert request.config.num_clients == number
    assert RunRequest.of(request.arguments).config.num_clients == number


def test_the_environment_counts_as_a_setting(monkeypatch):
    monkeypatch.setenv("DT_NUM_WORKERS", "2")
    assert RunRequest.of([], 5).config.num_clients == 2


def test_a_run_has_a_name():
    request = RunRequest.of(["--epochs", "1"])
    assert request.arguments == ["--epochs", "1", "--run", request.run]
    assert RunRequest.of(["--run", "first"]).arguments == ["--run", "first"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--run", "taken"], "--run taken: already exists"),
        (["--resume", "new"], "--resume new: no run has this name"),
        (["--data-at", "sites"], "DATA_AT: received sites.*distributed_training_index.py"),
        (["--epochs", "0"], "EPOCHS: received"),
    ],
)
def test_mistakes_are_refused_first(folder, options, message):
    (folder / "metrics" / "taken").mkdir(parents=True)
    with pytest.raises(ConfigError, match=message):
        RunRequest.of(options)


def test_a_recipe_is_below_other_options_and_leaves_the_number_of_clients_to_the_workers():
    config = RunRequest.of(["--recipe", "ultrasound", "--epochs", "3"], 5).config
    assert (config.RECIPE, config.EPOCHS, config.ARCHITECTURE) == ("ultrasound", 3, "efficientnet_lite0")
    assert config.num_clients == 5
