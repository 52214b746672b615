"""A folder for the weights of workers on this machine, in shared memory if there is room."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from helpers.cluster.connection import connect, is_on_this_machine
from helpers.cluster.heartbeat import live_workers

SHARED_MEMORY = Path("/dev/shm")
LEAST_FREE_BYTES = 1 << 30
VARIABLE = "DT_WEIGHT_STORE"


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
    with tempfile.TemporaryDirectory("", "dt-weights-", _place(), ignore_cleanup_errors=True) as folder:
        yield {VARIABLE: Path(folder).as_uri()}


def _place() -> Path | None:
    """Return shared memory if it is usable and has room, else None, the system's temporary folder."""
    usable = os.access(SHARED_MEMORY, os.W_OK | os.X_OK)
    return SHARED_MEMORY if usable and shutil.disk_usage(SHARED_MEMORY).free >= LEAST_FREE_BYTES else None
