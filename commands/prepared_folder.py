"""The folder of prepared images that `run.py train` uses: found, reused or made."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from helpers.global_config import Config, ConfigError
from helpers.run_records.checkpoint import read_state
from helpers.run_records.files import RunFolders, write_whole
from preprocessing.command_line import SETTINGS, parse
from preprocessing.errors import PreprocessingError
from preprocessing.feed.prepared_data import MANIFEST, PreparedData
from preprocessing.load_and_create_dataset import prepare_as_asked

FINGERPRINT = "fingerprint.json"


def folder_of_run(config: Config, run: str) -> Path:
    """Return the folder of the images that a run was begun with, to resume it.

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


def prepared_folder(config: Config, source_options: Sequence[str], command: str = "") -> Path:
    """Return the folder of the prepared images, after preparing them if they or the settings are new.

    Without a setting for DATA_DIR, images that `run.py prepare` has put into PREPROCESSED_DIR are used.
    Otherwise the folder is in PREPROCESSED_DIR, named after the images and the settings.

    Args:
        config: DATA_DIR, PREPROCESSED_DIR and the settings of the preparation.
        source_options: further options of the preparation, as on its command line.
        command: the command in messages that ask to call it again with one more option.

    Raises:
        UserError: the images cannot be prepared.
    """
    is_data_dir_set = "DATA_DIR" in config.model_fields_set
    if not is_data_dir_set and not source_options and (config.PREPROCESSED_DIR / MANIFEST).is_file():
        return config.PREPROCESSED_DIR
    arguments = [*source_options, *_setting_options(config)]
    if is_data_dir_set:
        arguments += ["--data-dir", str(config.DATA_DIR)]
    data_dir: Path = getattr(parse(arguments), "DATA_DIR", config.DATA_DIR)  # some sources have their own
    folder = config.PREPROCESSED_DIR / _name(data_dir, config, arguments)
    file = folder / FINGERPRINT
    reason = _reason_to_prepare(folder, file, data_dir)
    if not reason:
        print(f"Images: prepared in {folder} (images and settings are unchanged)", flush=True)
        return folder
    print(f"Images: preparing {data_dir} in {folder} ({reason})", flush=True)
    file.unlink(missing_ok=True)
    prepare_as_asked([*arguments, "--out", str(folder)], command)
    write_whole(file, json.dumps({"images": fingerprint(data_dir), "options": arguments}, indent=1).encode())
    return folder


def fingerprint(data_dir: Path) -> str:
    """Return a digest of the names, sizes and modification times of all files in a folder."""
    # Hashing the contents would take as long as preparing them. Only a change that keeps both the size and
    # the time of a file escapes.
    digest = hashlib.sha256()
    for path in sorted(path for path in data_dir.rglob("*") if path.is_file()):
        status = path.stat()
        name = path.relative_to(data_dir).as_posix()
        digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _setting_options(config: Config) -> list[str]:
    """Return all settings of the preparation as options, for the preparation and the folder's name."""
    options = []
    for name in (*SETTINGS, "CLASS_NAMES"):
        value = getattr(config, name)
        text = json.dumps(value) if isinstance(value, tuple) else str(value)
        if value != ():
            options += ["--" + name.lower().replace("_", "-"), text]
    return options


def _name(data_dir: Path, config: Config, arguments: Sequence[str]) -> str:
    """Return a name such as my_images-128x128-0a1b2c3d; its last part covers path and settings."""
    height, width = config.INPUT_SHAPE
    digest = hashlib.sha256(json.dumps([str(data_dir.resolve()), *arguments]).encode()).hexdigest()
    return f"{data_dir.resolve().name}-{height}x{width}-{digest[:8]}"


def _reason_to_prepare(folder: Path, file: Path, data_dir: Path) -> str:
    """Return why the images must be prepared; empty if the folder has them as they are now."""
    if not file.is_file():
        return "for the first time with these settings"
    try:
        PreparedData.open(folder)
        recorded = json.loads(file.read_bytes())["images"]
    except (PreprocessingError, OSError, ValueError, KeyError, TypeError):
        return "the prepared images are damaged"
    return "" if recorded == fingerprint(data_dir) else "the images have changed"
