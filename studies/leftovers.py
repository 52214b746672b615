"""Leftover processes of a killed study, which would write into the runs that the next one resumes."""

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
"""Words in the command lines of a study's processes. A shell in its folder is not touched."""
GRACE_S = 10.0


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Lock the folder of a study and end leftover processes of a killed one.

    Args:
        folder: of the study; made if absent.

    Raises:
        UserError: another study runs in the folder.
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
    """Return the ids of workers and trainings that write to this folder, and of its Redis."""
    place = folder.resolve()
    named = f"DT_METRICS_DIR={place / 'metrics'}".encode()
    processes = []
    for process in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or belongs to another user
            command = (process / "cmdline").read_bytes()
            writes = any(word in command for word in WRITERS)
            serves = any(word in command for word in SERVERS)
            if (writes and named in (process / "environ").read_bytes().split(b"\0")) or (
                serves and (process / "cwd").resolve().is_relative_to(place / "workers")
            ):
                processes.append(int(process.name))
    return sorted(processes)


def end(processes: list[int], grace_s: float = GRACE_S) -> None:
    """Terminate processes; kill those that still run after `grace_s` seconds."""
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
