"""A folder for the weights of workers on this machine, in shared memory if there is room.

It is removed at the end. If the process was killed, the next one that makes such a folder removes it.
"""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from helpers.cluster.connection import connect, is_on_this_machine
from helpers.cluster.heartbeat import live_workers

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

SHARED_MEMORY = Path("/dev/shm")
LEAST_FREE_BYTES = 1 << 30
VARIABLE = "DT_WEIGHT_STORE"
PREFIX = "dt-weights-"
LOCK = "lock"
"""File in the folder, locked as long as the process that made it lives."""


@contextlib.contextmanager
def weight_folder(redis_url: str) -> Iterator[dict[str, str]]:
    """Make a folder for the weights of workers that are about to start, and remove it at the end.

    All workers of a run need the same store. So no folder is made if the user has set one, if Redis is on
    another machine, where workers may be too, or if other workers are running.

    Args:
        redis_url: address of a Redis that answers.

    Yields:
        Variables for the environment of the workers. Empty without a folder.
    """
    client = connect(redis_url)
    if os.environ.get(VARIABLE) or not is_on_this_machine(client) or live_workers(client):
        yield {}
        return
    place = _place()
    remove_left(place)
    with (
        tempfile.TemporaryDirectory("", PREFIX, place, ignore_cleanup_errors=True) as folder,
        (Path(folder) / LOCK).open("w") as lock,
    ):
        _lock(lock)
        yield {VARIABLE: Path(folder).as_uri()}


def remove_left(place: Path) -> None:
    """Delete the folders of processes that were killed: the system has released their locks."""
    for folder in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), (folder / LOCK).open("r+") as lock:
            _lock(lock)
            shutil.rmtree(folder)


def _lock(file: IO[str]) -> None:
    """Lock a file until it is closed or this process ends; OSError if another process has locked it."""
    if sys.platform == "win32":
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _place() -> Path:
    """Return shared memory if it is usable and has room, else the system's temporary folder."""
    usable = os.access(SHARED_MEMORY, os.W_OK | os.X_OK)
    has_room = usable and shutil.disk_usage(SHARED_MEMORY).free >= LEAST_FREE_BYTES
    return SHARED_MEMORY if has_room else Path(tempfile.gettempdir())
