"""Meters of a training command, read when it prints the end of a round."""

import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from helpers.launcher.child_processes import start_apart, stop_all

ROUND_ENDED = re.compile(r"Run \S+: \d+ rounds|Round \d+/\d+ ")
"""The lines that the training command prints before the first round and after each."""

Readings = dict[str, float]
Meter = Callable[[int], Readings]
"""Reads counters, such as processor seconds, of the command with a process id."""


class CommandFailed(Exception):
    """A measured command ended with an error."""


def watch(command: Sequence[str], environment: Mapping[str, str], meter: Meter) -> list[Readings]:
    """Run a command in the repository root to its end.

    Returns:
        the increase of each counter in every round, and `seconds`.

    Raises:
        CommandFailed: the command failed; the message has its last lines.
    """
    process = start_apart(command, subprocess.PIPE, environment)
    assert process.stdout is not None  # it is a pipe
    lines: list[str] = []
    marks: list[Readings] = []
    try:
        for raw in process.stdout:
            line = raw.decode(errors="replace")
            if ROUND_ENDED.match(line):
                marks.append({"seconds": time.perf_counter(), **meter(process.pid)})
            lines.append(line)
        status = process.wait()
    finally:
        stop_all([process])
    if status or len(marks) < 2:
        raise CommandFailed(f"{' '.join(command)}: status {status}\n{''.join(lines[-30:])}")
    return [{name: after[name] - before[name] for name in after} for before, after in pairwise(marks)]
