"""Fence around the folders of a run: only the task that took the run over last can change them.

A task that writes a run first makes a hidden folder in each of its two folders, its *place*. It prepares all
files there and renames them into the run, and it moves there what it deletes. Places have numbers, and a
task moves those of lower numbers into its own. Then every rename of an earlier task fails, at whatever
instruction that task was stopped. A file lock could not do this: a task that is stopped while it holds the
lock would hold up the run.
"""

import contextlib
import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from helpers.run_records.files import PLACES, RecordError, RunFolders, TakenOver

PREFIX = ".epoch-"
PATTERN = f"{PREFIX}{'[0-9]' * 9}-*"
"""A place is named by the number of its take-over and a token; the names of all places are in order."""


def take_over(folders: RunFolders, is_wanted: Callable[[], bool]) -> None:
    """Take a run over; from now on only this task can change its folders, which are created if missing.

    Args:
        folders: of the run.
        is_wanted: asked after the take-over; a task that slept until then must not go on.

    Raises:
        TakenOver: another task took the run over at the same time, or this one is no longer wanted.
        RecordError: the folders cannot be written.
    """
    both = (folders.models, folders.metrics)
    try:
        for folder in both:
            folder.mkdir(parents=True, exist_ok=True)
        earlier = [_number(place) for folder in both for place in folder.glob(PATTERN)]
        name = f"{PREFIX}{1 + max([_epoch_of_state(folders), *earlier]):09d}-{secrets.token_hex(4)}"
        PLACES.set({folder: folder / name for folder in both})
        for place in PLACES.get().values():
            place.mkdir()
        is_last = all(map(_is_last, PLACES.get().values()))
    except OSError as error:
        raise RecordError(f"{error.filename}: {error.strerror}") from error
    if not (is_last and is_wanted()):
        release()
        raise TakenOver(folders.models.name)


def _is_last(own: Path) -> bool:
    """Move the places before `own` into it; return whether there is none after it."""
    others = [place for place in own.parent.glob(PATTERN) if place != own]
    for place in others:
        if place < own:
            with contextlib.suppress(FileNotFoundError):  # another task was faster
                place.rename(own / place.name)
            shutil.rmtree(own / place.name, ignore_errors=True)
    return all(place < own for place in others)


def _number(place: Path) -> int:
    return int(place.name.split("-")[1])


def _epoch_of_state(folders: RunFolders) -> int:
    """Return the epoch in state.json; 0 without one that can be read."""
    try:
        return int(json.loads(folders.state.read_bytes())["state"]["epoch"])
    except (OSError, ValueError, TypeError, LookupError):
        return 0


def release() -> None:
    """Give up the run that this task took over: delete its places."""
    for place in PLACES.get().values():
        shutil.rmtree(place, ignore_errors=True)
    PLACES.set({})
