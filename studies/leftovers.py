"""Processes of a study that was killed: they would go on writing into the runs that the next one resumes."""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from helpers.settings.errors import UserError

PROC = Path("/proc")
WRITERS, SERVERS = (b"celery", b"distributed_training_index.py"), (b"redis-server", b"valkey-server")
"""Words in the command lines of what a study starts: a shell that is in its folder is left alone."""
GRACE_S = 10.0


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Be the only study in a folder, without what a killed one has left running.

    Args:
        folder: of the study; made if absent.

    Raises:
        UserError: another study runs there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"--out: received {folder}, where another study runs; wait for it or stop it"
            ) from None
        end(running_in(folder))
        yield


def running_in(folder: Path) -> list[int]:
    """Ids of workers and trainings that write runs of this folder, and of Redis with data there."""
    place = folder.resolve()
    named = f"DT_METRICS_DIR={place / 'metrics'}".encode()
    found = []
    for process in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile, or another user's
            command = (process / "cmdline").read_bytes()
            writes = any(word in command for word in WRITERS)
            serves = any(word in command for word in SERVERS)
            if (writes and named in (process / "environ").read_bytes().split(b"\0")) or (
                serves and (process / "cwd").resolve().is_relative_to(place / "workers")
            ):
                found.append(int(process.name))
    return sorted(found)


def end(processes: list[int], grace_s: float = GRACE_S) -> None:
    """Ask processes to end; kill those that have not after `grace_s` seconds."""
    deadline = time.monotonic() + grace_s
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        while (
            processes := [process for process in processes if _runs(process)]
        ) and time.monotonic() < deadline:
            time.sleep(0.1)


def _runs(process: int) -> bool:
    with contextlib.suppress(OSError):
        return (PROC / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
