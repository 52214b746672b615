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
            f"folder ({data.manifest['data_dir']}); leave it out, or prepare again: {_command(config)}"
        )
    if data.manifest.get("split_by") != "drawn":
        return
    for name in DRAWING:
        received, prepared = getattr(config, name), data.manifest["settings"].get(name)
        if name in named and prepared is not None and received != prepared:
            raise ConfigError(
                f"{name}: received {received}, but the images in {data.folder} were split with {prepared}; "
                f"leave it out, or prepare again: {_command(config)}"
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


def _command(config: Config) -> str:
    folders = {"--data-dir": config.DATA_DIR, "--out": config.PREPROCESSED_DIR}
    options = [f"{flag} {shlex.quote(str(folder))}" for flag, folder in folders.items()]
    named = [name for name in DRAWING if name in config.model_fields_set]
    options += [f"--{name.lower().replace('_', '-')} {getattr(config, name)}" for name in named]
    return " ".join([COMMAND, *options])
