"""Deletion of runs, except those that may be in training."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from helpers.global_config import Config
from helpers.run_records import fence
from helpers.run_records.files import RunFolders, remove

MARGIN = 3.0
"""A run that is alive changes a file at least once in this many round deadlines or waits for workers."""


def may_be_in_training(folders: RunFolders, worker_timeout_s: float) -> bool:
    """Return whether a task has taken the run over and may still write it, on whatever machine.

    Args:
        folders: of the run.
        worker_timeout_s: how long its orchestrator continues without a worker.

    A finished run has no place of a task (`fence`). One without its last round, which was stopped or killed,
    has one, but does not change any more.
    """
    both = (folders.metrics, folders.models)
    if not any(True for folder in both for _ in folder.glob(fence.PATTERN)):
        return False
    last = max((changed for folder in both for changed in _changes(folder)), default=0.0)
    return time.time() - last < MARGIN * max(_round_deadline_s(folders), worker_timeout_s)


def delete_run(folders: RunFolders) -> None:
    """Delete both folders of a run, first its state, so that half a run is never resumed.

    Raises:
        RecordError: something cannot be deleted.
    """
    for path in (folders.state, folders.models, folders.metrics):
        remove(path)


def _changes(folder: Path) -> Iterator[float]:
    """Yield when a folder and its files have changed, except what is deleted meanwhile."""
    for path in (folder, *folder.glob("*")):
        with suppress(FileNotFoundError):
            yield path.stat().st_mtime


def _round_deadline_s(folders: RunFolders) -> float:
    """Return ROUND_DEADLINE_S of a run; the default if it is not on record."""
    try:
        settings = json.loads((folders.metrics / "run.json").read_bytes())["settings"]
        return float(settings["ROUND_DEADLINE_S"])
    except (OSError, ValueError, TypeError, LookupError):
        return Config.model_construct().ROUND_DEADLINE_S
