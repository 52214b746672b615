"""Processes we start and stop ourselves: a Ctrl-C in the terminal reaches us, not them."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import IO

from helpers.cluster.versions import ROOT


def start_apart(
    command: Sequence[str], output: int | IO[bytes], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a command in the repository root, in its own session, standard output and errors together.

    Args:
        command: program and arguments.
        output: a file open for writing, or `subprocess.PIPE`.
        environment: all its variables; None means the same as ours.
    """
    windows = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        creationflags=windows,
    )


def stop_all(processes: Sequence[subprocess.Popen[bytes]], grace_s: float = 10.0) -> None:
    """Ask every process to end; after `grace_s` seconds, or at a second Ctrl-C, kill what is left."""
    running = [process for process in processes if process.poll() is None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + grace_s
    try:
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
    finally:
        for process in running:
            _kill_group(process)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, with the children it may have left in its session, and wait for its end."""
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
