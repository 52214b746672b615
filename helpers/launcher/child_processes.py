"""Child processes, each in its own session: a Ctrl-C in the terminal reaches this process only.

On Linux they end with this process even if it is killed: the kernel sends them SIGTERM.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import IO

from helpers.cluster.versions import ROOT

PR_SET_PDEATHSIG = 1
"""Of linux/prctl.h."""


def start_apart(
    command: Sequence[str], output: int | IO[bytes], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a command in the repository, in its own session, with standard output and errors together.

    Args:
        command: program and arguments.
        output: a file open for writing, or `subprocess.PIPE`.
        environment: all its variables; None means those of this process.
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
        preexec_fn=end_with_parent(),
    )


def end_with_parent() -> Callable[[], None] | None:
    """Return a function that a child calls before its program starts, so that it ends when we are killed.

    None where the system does not offer this (prctl(2), PR_SET_PDEATHSIG).
    """
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # killed before the kernel was asked
            os._exit(1)

    return ask_kernel


def run_child(
    command: Sequence[str],
    environment: Mapping[str, str],
    while_running: Callable[[], object],
    on_line: Callable[[str], None] | None = None,
) -> int:
    """Run a command in the current folder until it ends, or stop it if we are stopped; return its status.

    Args:
        command: program and arguments.
        environment: all its variables.
        while_running: called several times a second; what it raises stops the command.
        on_line: receives each line of output; what it raises is raised here, after the command has ended.
            Without it the command has our terminal, and Ctrl-C is left to the command, which may finish
            something first.
    """
    output = None if on_line is None else subprocess.PIPE
    errors = None if on_line is None else subprocess.STDOUT
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=output,
        stderr=errors,
        start_new_session=True,
        preexec_fn=end_with_parent(),
    )
    failures: list[Exception] = []
    reading = threading.Thread(
        target=_pass_lines, args=(process.stdout, on_line, failures.append), daemon=True
    )
    reading.start()
    try:
        with contextlib.nullcontext() if on_line else _interrupts_to(process):
            while process.poll() is None:
                while_running()
                time.sleep(0.1)
    finally:
        stop_all([process])
        reading.join(5)
    if failures:
        raise failures[0]
    return int(process.returncode)


def _pass_lines(
    output: IO[bytes] | None,
    on_line: Callable[[str], None] | None,
    on_failure: Callable[[Exception], object],
) -> None:
    """Pass all lines on; a process whose output is not read would block."""
    if output is not None and on_line is not None:
        for line in output:
            try:
                on_line(line.decode(errors="replace").rstrip())
            except Exception as error:  # noqa: BLE001 (of whoever called us)
                on_failure(error)


@contextlib.contextmanager
def _interrupts_to(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Send each Ctrl-C to a child. In its own session, it does not get those of the terminal."""

    def forward(number: int, _frame: FrameType | None) -> None:
        if sys.platform != "win32":  # where the console has sent it to the child, too
            process.send_signal(number)

    before = signal.signal(signal.SIGINT, forward)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def stop_all(processes: Sequence[subprocess.Popen[bytes]], grace_s: float = 10.0) -> None:
    """Ask every process to end. After `grace_s` seconds, or at a second Ctrl-C, kill those left."""
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
    """Kill a process and the children left in its session, and wait for its end."""
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def unwind_when_terminated() -> None:
    """Let SIGTERM and a closed terminal, which `nohup` ignores, unwind the program, so that it stops what it
    started.
    """

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, leave)
