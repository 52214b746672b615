"""A folder for the weights of workers that are all on this machine; in memory where there is room."""

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
    """Give workers that are about to start a folder for their weights; remove it at the end.

    All workers of a run need the same store. So there is no folder, and their setting stays as it is,
    where the user has set it, where Redis is on another machine, as workers may be too, or where there
    are workers already.

    Args:
        redis_url: of a Redis that answers.

    Yields:
        What belongs into the environment of the workers; may be empty.
    """
    client = connect(redis_url)
    if os.environ.get(VARIABLE) or not is_on_this_machine(client) or live_workers(client):
        yield {}
        return
    with tempfile.TemporaryDirectory("", "dt-weights-", _place(), ignore_cleanup_errors=True) as folder:
        yield {VARIABLE: Path(folder).as_uri()}


def _place() -> Path | None:
    """Shared memory if it can be used and has room; None is the system's place for temporary files."""
    usable = os.access(SHARED_MEMORY, os.W_OK | os.X_OK)
    return SHARED_MEMORY if usable and shutil.disk_usage(SHARED_MEMORY).free >= LEAST_FREE_BYTES else None
