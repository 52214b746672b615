import shutil

import cv2
import numpy as np
import pytest

from helpers.global_config import Config
from helpers.settings.errors import ConfigError
from preprocessing.feed.run_data import prepared_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("named")
    generator = np.random.default_rng(0)
    for name in ("mine", "other/mine"):
        for number in range(40):
            path = folder / name / str(number % 2) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), generator.integers(0, 256, (12, 12), np.uint8))
    prepared_data(config(folder, SEED=3))
    return folder


def config(folder, data_dir="mine", **settings):
    return Config(
        DATA_DIR=folder / data_dir, PREPROCESSED_DIR=folder / "out", INPUT_SHAPE=(12, 12), **settings
    )


def test_the_same_images_and_seed_are_accepted_also_elsewhere(folder):
    prepared_data(config(folder, SEED=3))
    prepared_data(config(folder))
    shutil.copytree(folder / "mine", folder / "moved")
    prepared_data(config(folder, "moved"))
    prepared_data(config(folder, "gone/mine"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data_dir": "other/mine"},
            r"DATA_DIR: received .*other/mine.* again: .*/mine --out",
        ),
        ({"data_dir": "absent"}, "DATA_DIR: received .*absent"),
        ({"SEED": 2}, "SEED: received 2, .* split with 3; .* again: .*--seed 2"),
        ({"VALIDATION_FRACTION": 0.2}, "VALIDATION_FRACTION: received 0.2"),
    ],
)
def test_other_images_or_splits_are_refused_with_the_command(folder, changes, message):
    with pytest.raises(ConfigError, match=message):
        prepared_data(config(folder, **changes))


def test_a_resumed_run_keeps_its_images(folder):
    resumed = config(folder, "other/mine", SEED=2)
    prepared_data(resumed.model_copy(update=resumed.for_run() | {"INPUT_SHAPE": (12, 12), "CLASS_NAMES": ()}))
