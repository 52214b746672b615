"""The prepared images that the orchestrator needs to see before a run."""

from pathlib import Path

import numpy as np

from helpers.global_config import Config, ConfigError
from preprocessing.errors import COMMAND
from preprocessing.feed import augment_images
from preprocessing.feed.prepared_data import MANIFEST, PreparedData
from preprocessing.load_and_create_dataset import prepare
from preprocessing.terminal_output import print_summary, progress_bar


def data_and_config(config: Config) -> tuple[PreparedData | None, Config]:
    """Return the images that the orchestrator sees, and the config of the run on them.

    With `DATA_AT=sites` these are the test images of TEST_DIR, or None without it.

    Raises:
        UserError: the images cannot be prepared, or contradict a setting.
    """
    data = test_set(config) if config.DATA_AT == "sites" else prepared_data(config)
    names = data.class_names if data else config.class_names
    config = config.model_copy(update={"CLASS_NAMES": names})
    config.check_input_shape()
    config.check_threshold()
    return data, config


def augmented_examples(data: PreparedData, config: Config) -> np.ndarray:
    """Return augmented training images, none where the images stay at the sites."""
    if config.DATA_AT == "sites":
        return np.empty((0, *data.image_shape), np.float32)
    return augment_images.augmented_examples(data.images("train"), config.AUGMENTATION, config.SEED)


def prepared_data(config: Config) -> PreparedData:
    """Open the prepared images; where there are none, prepare them first.

    Raises:
        UserError: the images cannot be prepared, or were prepared at another size, with other channels or
            of other classes than the settings say.
    """
    folder = config.PREPROCESSED_DIR
    if not (folder / MANIFEST).exists():
        print(f"{folder} holds no prepared images: preparing those in {config.DATA_DIR} first")
        with progress_bar() as progress:
            print_summary(prepare(config, progress=progress))
    return _open(folder, config)


def test_set(config: Config) -> PreparedData | None:
    """Open the images of TEST_DIR; None where the sites test.

    Raises:
        UserError: they are not there, or do not fit the settings; see `prepared_data`.
    """
    return _open(Path(config.TEST_DIR), config) if config.TEST_DIR else None


def _open(folder: Path, config: Config) -> PreparedData:
    data = PreparedData.open(folder)
    *size, channels = data.image_shape
    for name, asked, there in (
        ("INPUT_SHAPE", config.INPUT_SHAPE, tuple(size)),
        ("INPUT_DIM", config.INPUT_DIM, channels),
        ("CLASS_NAMES", config.CLASS_NAMES or data.class_names, data.class_names),
    ):
        if asked != there:
            raise ConfigError(
                f"{name}: received {asked}, but the images in {folder} are {there}; set it to that, or "
                f"prepare them again with {COMMAND} --{name.lower().replace('_', '-')}"
            )
    return data
