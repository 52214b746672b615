"""What the options of a training are checked for before anything starts, and what is added to them."""

import pytest

from commands.run_request import RunRequest
from commands.train import run_training
from helpers.cluster.versions import versions_here
from helpers.federated.results import RunState
from helpers.global_config import Config
from helpers.run_records import checkpoint
from helpers.run_records.files import RunFolders
from helpers.settings.errors import ConfigError
from preprocessing.feed.run_data import with_data_settings
from tests.unit.preprocessing.prepare.patients import prepared


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


def test_a_recipe_is_below_other_options_and_leaves_the_number_of_clients_to_the_workers(monkeypatch):
    monkeypatch.setattr("commands.run_request.packaged_file", lambda: None)
    config = RunRequest.of(["--recipe", "ultrasound", "--epochs", "3"], 5).config
    assert (config.RECIPE, config.EPOCHS, config.ARCHITECTURE) == ("ultrasound", 3, "efficientnet_lite0")
    assert config.num_clients == 5


@pytest.mark.parametrize("options", [["--overwrite", "--run", "taken"], ["--resume", "taken"]])
def test_a_run_that_another_command_trains_is_refused(folder, options, monkeypatch):
    def refuse(run, models_dir, force):
        raise ConfigError(f"run {run}: another process is training it")

    (folder / "metrics" / "taken").mkdir(parents=True)
    monkeypatch.setattr("commands.run_request.take_from_others", refuse)
    with pytest.raises(ConfigError, match=r"^run taken: another process"):
        RunRequest.of(options)
    if "--overwrite" in options:
        RunRequest.of([*options, "--take-over"])


def test_a_missing_package_of_weights_is_found_before_anything_starts(monkeypatch):
    monkeypatch.setattr("helpers.architectures.imagenet_package.PACKAGE", "no-such-package-of-weights")
    with pytest.raises(ConfigError, match=r"^PRETRAINED: .*not installed.*run.py setup pretrained"):
        RunRequest.of(["--recipe", "ultrasound"])


@pytest.fixture
def finished(folder) -> RunFolders:
    """A finished run `first` on images in `preprocessed/`."""
    (folder / "preprocessed").mkdir()
    data = prepared(folder / "preprocessed")
    settings = with_data_settings(Config.load(), data).for_run()
    facts = {"settings": settings, "versions": versions_here(), "data_digest": data.digest}
    folders = RunFolders.of(Config.load(), "first")
    checkpoint.commit(folders, RunState("first", 10, "w", None, None, None), facts)
    folders.metrics.mkdir(parents=True, exist_ok=True)
    (folders.metrics / "run.json").write_text('{"ended_at": "2026-01-01T00:00:00Z"}')
    for file in (folders.metrics / "test.csv", folders.models / "best.keras"):
        file.touch()
    return folders


def resumed(*options: str) -> RunRequest:
    return RunRequest.of(["--resume", "first", *options]).with_images()


def test_a_finished_run_is_shown_and_not_trained_again(finished, monkeypatch):
    monkeypatch.setattr("commands.train.local_cluster", lambda *_, **__: pytest.fail("a cluster was started"))
    lines: list[str] = []
    assert run_training(resumed(), None, on_line=lines.append) == 0
    assert lines == ["Run first is finished; nothing to do"]
    (finished.metrics / "run.json").write_text("{}")
    assert not resumed().is_done()


def test_other_settings_are_refused_before_anything_starts(finished):
    with pytest.raises(ConfigError, match="--resume first: EPOCHS was 10, is 11"):
        resumed("--epochs", "11").is_done()
    assert not resumed("--epochs", "11", "--force").is_done()
