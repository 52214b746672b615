"""Whether a run may begin or go on: under a free name, or as the run it was."""

from collections.abc import Mapping
from typing import Any

from helpers.federated.messages import RUN_NAME
from helpers.global_config import Config
from helpers.run_records.checkpoint import read_state
from helpers.run_records.files import RunFolders
from helpers.settings.errors import ConfigError
from helpers.settings.names import current_names


def check_name(run: str, folders: RunFolders, *, resume: bool = False, overwrite: bool = False) -> None:
    """Refuse a name that a run cannot have, and to begin a run that is there or resume one that is not.

    Raises:
        ConfigError: says which names and options there are.
    """
    if not RUN_NAME.fullmatch(run):
        raise ConfigError(f"--run {run!r}: use letters, digits, `.`, `_`, `-`, at most 100")
    if resume and not folders.exist():
        raise ConfigError(f"--resume {run}: there is no such run")
    if folders.exist() and not (resume or overwrite):
        raise ConfigError(
            f"--run {run}: exists already; take another name, or --resume {run} to go on, "
            "or --overwrite to replace it"
        )


def config_to_resume(folders: RunFolders, config: Config) -> Config:
    """Return the config of an earlier run, for what was not set this time; set values win.

    Raises:
        RecordError: the run's state cannot be read.
    """
    _, facts = read_state(folders)
    given = {name: getattr(config, name) for name in config.model_fields_set}
    return Config.load(**(current_names(facts["settings"]) | given))


def check_same(folders: RunFolders, facts: Mapping[str, Any], *, force: bool) -> None:
    """Refuse to go on with other settings, data, code or packages.

    Args:
        folders: of the run.
        facts: `settings`, `data_digest` and `versions` as they are now.
        force: go on all the same.

    Raises:
        ConfigError: naming every difference.
        RecordError: the run's state cannot be read.
    """
    _, before = read_state(folders)
    differences = [
        f"{name} was {old!r}, is {new!r}"
        for part in ("settings", "versions")
        for name, old, new in _changed(current_names(before.get(part, {})), facts[part])
    ]
    if before.get("data_digest") != facts["data_digest"]:
        differences.append("the prepared images are others (manifest.json)")
    if differences and not force:
        raise ConfigError(
            f"--resume {folders.models.name}: {'; '.join(differences)}. Set it back, or go on all the same "
            "with --force: the numbers are then not those of an uninterrupted run"
        )


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    names = sorted(before.keys() | now.keys())
    return [(name, before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name)]
