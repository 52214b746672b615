"""Checks before a run starts or resumes: its name, settings, data and versions."""

import json
from collections.abc import Mapping
from typing import Any

from helpers.federated.messages import RUN_NAME
from helpers.global_config import Config
from helpers.run_records.checkpoint import read_state
from helpers.run_records.files import RecordError, RunFolders
from helpers.settings.errors import ConfigError
from helpers.settings.names import current_names

LAST_FILE = "test.csv"
"""A run that has this file is finished."""


def check_name(run: str, folders: RunFolders, *, resume: bool = False, overwrite: bool = False) -> None:
    """Check that the name is valid, free for a new run, and present for a resumed one.

    Raises:
        ConfigError: names the options.
    """
    if not RUN_NAME.fullmatch(run):
        raise ConfigError(f"--run {run!r}: use letters, digits, `.`, `_`, `-`, at most 100")
    if resume and not folders.exist():
        raise ConfigError(f"--resume {run}: no run has this name; `python run.py runs` lists them")
    if folders.exist() and not (resume or overwrite):
        raise ConfigError(
            f"--run {run}: already exists; choose another name, or --resume {run} to continue it, "
            "or --overwrite to replace it"
        )


def config_to_resume(folders: RunFolders, config: Config) -> Config:
    """Return the config of an earlier run, overridden by the values that are set now.

    Raises:
        RecordError: the run's state cannot be read.
        ConfigError: a setting in it is wrong.
    """
    _, facts = read_state(folders)
    set_now = {name: getattr(config, name) for name in config.model_fields_set}
    try:
        return Config.load(**(current_names(facts.get("settings", {})) | set_now))
    except ConfigError as error:
        raise ConfigError(f"{folders.state}: {error}") from error


def is_finished(folders: RunFolders, settings: Mapping[str, Any], data_digest: str) -> bool:
    """Return whether a run is finished with these settings on these images.

    A setting that is newer than the run had its default.

    Raises:
        ConfigError: it is finished with others; the message names every difference.
        RecordError: run.json cannot be read.
    """
    if not (folders.metrics / LAST_FILE).exists():
        return False
    file = folders.metrics / "run.json"
    try:
        facts = json.loads(file.read_bytes())
        before = Config.model_construct().for_run() | current_names(facts["settings"])
    except (OSError, ValueError, LookupError) as error:
        raise RecordError(f"{file} could not be read: {error}") from error
    changes = [f"{name} was {before.get(name)!r}, is {value!r}" for name, value in settings.items()
               if before.get(name) != value]  # fmt: skip
    if facts.get("data_digest", data_digest) != data_digest:
        changes.append("the prepared images differ")
    if changes:
        raise ConfigError(
            f"run {folders.metrics.name} is finished, but {'; '.join(changes)}; set it back, or remove "
            f"{folders.metrics} and {folders.models}"
        )
    return True


def check_same(folders: RunFolders, facts: Mapping[str, Any], *, force: bool) -> None:
    """Check that settings, data, code and packages are those of the earlier run.

    Args:
        folders: of the run.
        facts: `settings`, `data_digest` and `versions` as they are now.
        force: ignore differences, except in a private run.

    Raises:
        ConfigError: names every difference.
        RecordError: the run's state cannot be read.
    """
    _, before = read_state(folders)
    differences = [
        f"{name} was {old!r}, is {new!r}"
        for part in ("settings", "versions")
        for name, old, new in _changed(current_names(before.get(part, {})), facts[part])
    ]
    if before.get("data_digest") != facts["data_digest"]:
        differences.append("the prepared images differ (manifest.json)")
    is_private = any(part.get("settings", {}).get("DP", "off") != "off" for part in (before, facts))
    if differences and (is_private or not force):
        otherwise = (
            "start a new run: the privacy that was spent could not be added up"
            if is_private
            else "continue with --force: the numbers then differ from those of an uninterrupted run"
        )
        raise ConfigError(
            f"--resume {folders.models.name}: {'; '.join(differences)}. Change it back, or {otherwise}"
        )


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    names = sorted(before.keys() | now.keys())
    return [(name, before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name)]
