"""The folder of prepared images that `run.py train` uses: found, reused or made."""

import argparse
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from helpers.global_config import Config
from helpers.run_records.checkpoint import read_state
from helpers.run_records.files import RunFolders, write_whole
from helpers.settings.errors import ConfigError
from preprocessing.command_line import SETTINGS
from preprocessing.errors import COMMAND, PreprocessingError
from preprocessing.feed.prepared_data import MANIFEST, PreparedData
from preprocessing.load_and_create_dataset import prepare_as_asked
from preprocessing.prepare.sources import DEFAULT_SOURCE, get_source
from preprocessing.prepare.sources.files_below import files_below

FINGERPRINT = "fingerprint.json"
PLAIN = {"source": DEFAULT_SOURCE, "skip_unreadable": False, "allow": [], "source_options": {}}
"""The options about images where none is given."""


def folder_of_run(config: Config, run: str) -> Path:
    """Return the folder with the prepared images of an earlier run, to resume it.

    Raises:
        ConfigError: neither PREPROCESSED_DIR nor a folder in it has them.
        RecordError: the state of the run cannot be read.
    """
    _, facts = read_state(RunFolders.of(config, run))
    data = PreparedData.find(config.PREPROCESSED_DIR, facts["data_digest"])
    if data is None:
        raise ConfigError(
            f"--resume {run}: its prepared images are not in {config.PREPROCESSED_DIR} or a folder in it; "
            "name their folder with --preprocessed-dir, or the images with --data-dir to prepare them again"
        )
    return data.folder


def prepared_folder(config: Config, images: argparse.Namespace | None = None, command: str = "") -> Path:
    """Return the folder of the prepared images, after preparing them if files or settings are new.

    Images that `run.py prepare` has put into PREPROCESSED_DIR are used if no images are named. Otherwise
    the folder is in PREPROCESSED_DIR, and its name covers the place of the images and all settings.

    Args:
        config: DATA_DIR, PREPROCESSED_DIR and the settings of the preparation.
        images: options about images, if some are given; see `add_image_options`.
        command: the command that error messages suggest, with one more option.

    Raises:
        UserError: the images cannot be prepared.
    """
    is_named = "DATA_DIR" in config.model_fields_set or images is not None
    if not is_named and (config.PREPROCESSED_DIR / MANIFEST).is_file():
        return config.PREPROCESSED_DIR
    images = images or argparse.Namespace(**PLAIN)
    data_dir = config.DATA_DIR
    if "DATA_DIR" not in config.model_fields_set:
        data_dir = get_source(images.source).default_dir(images.source_options) or data_dir
    settings = config.model_dump(mode="json", include={*SETTINGS, "CLASS_NAMES"})
    if config.NEAR_COPIES != "check":  # left out otherwise, so that the names of folders stay
        settings["NEAR_COPIES"] = config.NEAR_COPIES
    facts = {"data_dir": str(data_dir.resolve()), "settings": settings, "options": vars(images)}
    folder = config.PREPROCESSED_DIR / _name(data_dir, config, facts)
    reason = _reason_to_prepare(folder, data_dir)
    if not reason:
        print(f"Images: prepared in {folder} (images and settings are unchanged)", flush=True)
        return folder
    print(f"Images: preparing {data_dir} in {folder} ({reason})", flush=True)
    file = folder / FINGERPRINT
    file.unlink(missing_ok=True)
    config = config.model_copy(update={"DATA_DIR": data_dir, "PREPROCESSED_DIR": folder})
    prepare_as_asked(images, config, command or COMMAND)
    write_whole(file, json.dumps({"files": fingerprint(data_dir), **facts}, indent=1, default=str).encode())
    return folder


def fingerprint(data_dir: Path) -> str:
    """Return a digest of the names, sizes and modification times of the files in a folder."""
    # Hashing the contents would take as long as preparing them. Only a change that keeps both the size and
    # the time of a file escapes.
    digest = hashlib.sha256()
    for path in files_below(data_dir):
        status, name = path.stat(), path.relative_to(data_dir).as_posix()
        digest.update(os.fsencode(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0"))
    return digest.hexdigest()


def _name(data_dir: Path, config: Config, facts: Mapping[str, Any]) -> str:
    """Return a name such as my_images-128x128-0a1b2c3d."""
    height, width = config.INPUT_SHAPE
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
    return f"{data_dir.resolve().name}-{height}x{width}-{digest[:8]}"


def _reason_to_prepare(folder: Path, data_dir: Path) -> str:
    """Return why the images must be prepared; empty if the folder has them as they are now."""
    file = folder / FINGERPRINT
    if not file.is_file():
        return "new images or settings"
    try:
        PreparedData.open(folder)
        files = json.loads(file.read_bytes())["files"]
    except (PreprocessingError, OSError, ValueError, KeyError, TypeError):
        return "the earlier result is damaged"
    return "" if files == fingerprint(data_dir) else "the images have changed"
