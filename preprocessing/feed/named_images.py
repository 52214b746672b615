"""Check that prepared images are those that the user named, split as the user said."""

import hashlib
import shlex

from helpers.global_config import Config
from helpers.settings.errors import ConfigError
from preprocessing.errors import COMMAND
from preprocessing.feed.prepared_data import PreparedData

DRAWING = ("SEED", "TEST_FRACTION", "VALIDATION_FRACTION")
"""The settings that decide how images are split."""
SAMPLED = 3  # files whose content is compared


def refuse_other_images(data: PreparedData, config: Config) -> None:
    """Refuse prepared images that contradict DATA_DIR or a setting of the splits that the user set.

    A resumed run keeps its images, whose digest is compared anyway.

    Raises:
        ConfigError: names the command that prepares the images again.
    """
    named = config.model_fields_set
    if set(config.for_run()) <= named:  # resumed: all settings are those of the run
        return
    if "DATA_DIR" in named and not _are_from(data, config):
        raise ConfigError(
            f"DATA_DIR: received {config.DATA_DIR}, but {data.folder} was prepared from another "
            f"folder ({data.manifest['data_dir']}); leave it out, or prepare again: "
            + how_to_prepare(config, data)
        )
    if data.manifest.get("split_by") != "drawn":
        return
    for name in DRAWING:
        received, prepared = getattr(config, name), data.manifest["settings"].get(name)
        if name in named and prepared is not None and received != prepared:
            raise ConfigError(
                f"{name}: received {received}, but the images in {data.folder} were split with {prepared}; "
                f"leave it out, or prepare again: {how_to_prepare(config, data)}"
            )


def _are_from(data: PreparedData, config: Config) -> bool:
    """Return whether the images of DATA_DIR are those prepared, by some contents, or by name if gone."""
    if "data_dir" not in data.manifest:  # of an earlier version
        return True
    if not config.DATA_DIR.is_dir():
        return bool(config.DATA_DIR.resolve().name == data.manifest["data_dir"])
    files = data.manifest["files"]
    entries = files[:: max(1, len(files) // SAMPLED)]
    return all(
        (path := config.DATA_DIR / entry["file"]).is_file()
        and hashlib.sha256(path.read_bytes()).hexdigest() == entry.get("sha256")
        for entry in entries
    )


def how_to_prepare(config: Config, data: PreparedData, *options: str) -> str:
    """Return the command that prepares the images again, with these options.

    Where DATA_DIR is not named, only the name of the folder of the images is known.
    """
    images, where = shlex.quote(str(config.DATA_DIR)), ""
    if "DATA_DIR" not in config.model_fields_set:
        images = "FOLDER"
        where = f", with FOLDER for that of the images ({data.manifest.get('data_dir', 'not recorded')})"
    options = (*options, f"--data-dir {images}", f"--out {shlex.quote(str(data.folder))}")
    named = [name for name in DRAWING if name in config.model_fields_set]
    options += tuple(f"--{name.lower().replace('_', '-')} {getattr(config, name)}" for name in named)
    return " ".join([COMMAND, *options]) + where
