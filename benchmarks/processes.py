"""Processor time and memory of processes, from /proc of Linux."""

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
CLOSED = (FileNotFoundError, ProcessLookupError, PermissionError)


def family(pids: Iterable[int]) -> set[int]:
    """Return these processes and all their descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(*CLOSED):
            children[int(_stat(int(folder.name))[1])].append(int(folder.name))
    members: set[int] = set()
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in members:
            members.add(pid)
            waiting += children[pid]
    return members


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time of processes, their descendants and ended children, seconds."""
    ticks = 0
    for pid in family(pids):
        with contextlib.suppress(*CLOSED):
            ticks += sum(int(value) for value in _stat(pid)[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_bytes(pid: int | None = None) -> int:
    """Return the peak resident memory of a process, by default this one, bytes."""
    return _kilobytes(PROC / str(pid or "self") / "status", "VmHWM") * 1024


def resident_bytes(pid: int | None = None) -> int:
    """Return the resident memory of a process, by default this one, bytes."""
    return _kilobytes(PROC / str(pid or "self") / "status", "VmRSS") * 1024


def forget_peak() -> None:
    """Reset `peak_bytes` of this process."""
    (PROC / "self/clear_refs").write_text("5")


def shared_out_bytes(pids: Iterable[int]) -> int:
    """Return the memory of processes and their descendants, bytes; shared pages count once."""
    total = 0
    for pid in family(pids):
        with contextlib.suppress(*CLOSED):
            total += _kilobytes(PROC / str(pid) / "smaps_rollup", "Pss")
    return total * 1024


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third, the state; the name before it may hold spaces."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _kilobytes(file: Path, name: str) -> int:
    for line in file.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0
