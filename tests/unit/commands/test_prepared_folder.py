"""When images are prepared, when reused, and where the images of an earlier run are found."""

import argparse
import os

import pytest

from commands import prepared_folder as module
from commands.prepared_folder import FINGERPRINT, PLAIN, folder_of_run, prepared_folder
from helpers.federated.results import RunState
from helpers.global_config import Config
from helpers.run_records import checkpoint
from helpers.run_records.files import RunFolders
from helpers.settings.errors import ConfigError
from preprocessing.feed.prepared_data import PreparedData
from preprocessing.load_and_create_dataset import prepare
from tests.integration.conftest import write_images


@pytest.fixture
def prepared(monkeypatch):
    """Count the preparations."""
    calls = []
    original = module.prepare_as_asked
    monkeypatch.setattr(module, "prepare_as_asked", lambda *args: (calls.append(args), original(*args)))
    return calls


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "my_images", 40)
    return tmp_path / "my_images"


def config_of(**settings) -> Config:
    return Config.load(**{"DATA_DIR": "my_images", "INPUT_SHAPE": (16, 16), **settings})


def test_images_are_prepared_once(images, prepared, capsys):
    folder = prepared_folder(config_of())
    assert folder.parent.name == "preprocessed"
    assert folder.name.startswith("my_images-16x16-")
    assert prepared_folder(config_of()) == folder
    assert prepared_folder(config_of(EPOCHS=3)) == folder  # not a setting of the preparation
    assert prepared_folder(config_of(DATA_DIR=str(images))) == folder
    assert len(prepared) == 1
    first, *later = (line for line in capsys.readouterr().out.splitlines() if line.startswith("Images:"))
    assert "preparing my_images in preprocessed/my_images-16x16-" in first
    assert all(line.endswith("(images and settings are unchanged)") for line in later)


def test_other_settings_have_another_folder(images, prepared):
    options = argparse.Namespace(**PLAIN | {"skip_unreadable": True})
    folders = [
        prepared_folder(config_of()),
        prepared_folder(config_of(SEED=1)),
        prepared_folder(config_of(INPUT_SHAPE=(20, 16))),
        prepared_folder(config_of(INPUT_DIM=1)),
        prepared_folder(config_of(CLASS_NAMES="x,y")),
        prepared_folder(config_of(), options),
    ]
    assert len(set(folders)) == len(prepared) == 6


@pytest.mark.parametrize("change", ["time", "name", "new", "gone"])
def test_changed_images_are_prepared_again(images, prepared, capsys, change):
    folder = prepared_folder(config_of())
    file = images / "0" / "0000.png"
    if change == "time":
        os.utime(file, (1, 1))
    elif change == "name":
        file.rename(file.with_name("other.png"))
    elif change == "new":
        (file.parent / "new.png").write_bytes(file.read_bytes())
    else:
        file.unlink()
    assert prepared_folder(config_of()) == folder
    assert len(prepared) == 2
    assert "(the images have changed)" in capsys.readouterr().out


def test_a_damaged_result_is_made_again(images, prepared, capsys):
    folder = prepared_folder(config_of())
    (folder / "manifest.json").write_text("{}")
    prepared_folder(config_of())
    (folder / FINGERPRINT).write_text("[]")
    prepared_folder(config_of())
    assert len(prepared) == 3
    assert capsys.readouterr().out.count("(the earlier result is damaged)") == 2


def test_images_prepared_beforehand_are_used_where_none_are_named(images, prepared):
    prepare(config_of())
    settings = Config.load()
    assert prepared_folder(settings) == settings.PREPROCESSED_DIR
    assert prepared == []


def test_the_images_of_a_run_are_found_by_their_digest(images, prepared):
    folder = prepared_folder(config_of())
    prepared_folder(config_of(SEED=1))
    facts = {"settings": {}, "versions": {}, "data_digest": PreparedData.open(folder).digest}
    checkpoint.commit(RunFolders.of(config_of(), "first"), RunState("first", 0, "w", None, None, None), facts)
    assert folder_of_run(config_of(), "first") == folder.resolve()
    assert folder_of_run(config_of(PREPROCESSED_DIR=folder), "first") == folder.resolve()
    (folder / "manifest.json").unlink()
    with pytest.raises(ConfigError, match="--resume first: its prepared images are not in preprocessed"):
        folder_of_run(config_of(), "first")
