"""The prepared images of a run, and the settings that a run takes from them."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np

from helpers.global_config import Config
from helpers.settings.errors import ConfigError
from helpers.settings.outside_text import printable
from preprocessing.feed import augment_images
from preprocessing.feed.custom_augmentation import embed_custom_augmentation
from preprocessing.feed.named_images import how_to_prepare, refuse_other_images
from preprocessing.feed.prepared_data import MANIFEST, PreparedData
from preprocessing.feed.private_batches import check_patients
from preprocessing.load_and_create_dataset import prepare
from preprocessing.terminal_output import print_summary, progress_bar

FLAT = 0.01  # standard deviation of an image from 0 to 1 in which hardly anything shows


def data_and_config(config: Config) -> tuple[PreparedData | None, Config]:
    """Return the images that the orchestrator sees, and the config with their size, channels and classes.

    With `DATA_AT=sites` these are the test images of TEST_DIR, or None without it.

    Raises:
        UserError: the images cannot be prepared, or contradict a setting that the user set, or
            the file of AUGMENTATION is unsuitable.
    """
    data = test_set(config) if config.DATA_AT == "sites" else prepared_data(config)
    if data is None:
        config = config.model_copy(update={"CLASS_NAMES": config.class_names})
    else:
        config = with_data_settings(config, data)
        if config.DATA_AT != "sites":
            check_patients(data, config)
    config = embed_custom_augmentation(config)  # tried on images of the size just set
    config.check_input_shape()
    config.check_threshold()
    warn_of_constant_images(augmented_examples(data, config), config)
    return data, config


def check_augmentation(config: Config) -> None:
    """Try the file of AUGMENTATION before anything else is needed, if the size of the images is known.

    Raises:
        UserError: the file or the prepared images are unsuitable.
    """
    if config.DATA_AT != "sites" and (config.PREPROCESSED_DIR / MANIFEST).exists():
        embed_custom_augmentation(with_data_settings(config, PreparedData.open(config.PREPROCESSED_DIR)))
    elif "INPUT_SHAPE" in config.model_fields_set:
        embed_custom_augmentation(config)


def warn_of_constant_images(images: np.ndarray, config: Config) -> None:
    """Print a warning if most images that reach the network have hardly any contrast."""
    flat = sum(float(image.std()) < FLAT for image in images)
    if flat > len(images) / 2:
        kind = "a file" if config.AUGMENTATION.startswith("{") else config.AUGMENTATION
        print(
            f"Warning: {flat} of {len(images)} training images are nearly constant when they reach the "
            f"network. Check the images, their depth and AUGMENTATION ({kind})"
        )


def augmented_examples(data: PreparedData | None, config: Config) -> np.ndarray:
    """Return augmented training images, none if the images stay at the sites."""
    if data is None or config.DATA_AT == "sites":
        return np.empty((0, *config.INPUT_SHAPE, config.INPUT_DIM), np.float32)
    return augment_images.augmented_examples(data.images("train"), config.AUGMENTATION, config.SEED)


def prepared_data(config: Config) -> PreparedData:
    """Open the prepared images, after preparing them if they are missing.

    Raises:
        UserError: the images cannot be prepared, or a setting that the user set contradicts them.
    """
    folder = config.PREPROCESSED_DIR
    if not (folder / MANIFEST).exists():
        print(printable(f"{folder} has no prepared images; preparing those in {config.DATA_DIR}"))
        with progress_bar() as progress:
            print_summary(prepare(config, progress=progress))
    data = _open(folder, config)
    refuse_other_images(data, config)
    return data


def test_set(config: Config) -> PreparedData | None:
    """Open the images of TEST_DIR; None if the sites test.

    Raises:
        UserError: as in `prepared_data`.
    """
    return _open(Path(config.TEST_DIR), config) if config.TEST_DIR else None


def with_data_settings(config: Config, data: PreparedData) -> Config:
    """Return the config with INPUT_SHAPE, INPUT_DIM and CLASS_NAMES of the prepared images.

    Args:
        config: config of the run.
        data: result of `prepared_data` or `test_set`, which refuse contradicting settings.
    """
    return config.model_copy(update=_settings_of(data))


def _settings_of(data: PreparedData) -> dict[str, Any]:
    *size, channels = data.image_shape
    return {"INPUT_SHAPE": tuple(size), "INPUT_DIM": channels, "CLASS_NAMES": data.class_names}


def _open(folder: Path, config: Config) -> PreparedData:
    data = PreparedData.open(folder)
    for name, prepared in _settings_of(data).items():
        received = getattr(config, name)
        # An empty CLASS_NAMES means the names of the images.
        if name in config.model_fields_set and received not in (prepared, ()):
            value = shlex.quote(
                ",".join(map(str, received)) if isinstance(received, tuple) else str(received)
            )
            command = how_to_prepare(config, data, f"--{name.lower().replace('_', '-')} {value}")
            raise ConfigError(
                f"{name}: received {received}, but the images in {folder} are {prepared}; leave it out, set "
                f"it to that, or prepare again: {command}"
            )
    return data
