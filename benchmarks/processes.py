"""What processes used of the processor and of memory, from Linux' /proc."""

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
CLOSED = (FileNotFoundError, ProcessLookupError, PermissionError)


def family(pids: Iterable[int]) -> set[int]:
    """These processes and all that descend from them."""
    children: dict[int, list[int]] = defaultdict(list)
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(*CLOSED):
            children[int(_stat(int(folder.name))[1])].append(int(folder.name))
    found: set[int] = set()
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children[pid]
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time of these processes, those that descend from them, and their ended children, seconds."""
    ticks = 0
    for pid in family(pids):
        with contextlib.suppress(*CLOSED):
            ticks += sum(int(value) for value in _stat(pid)[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_bytes(pid: int | None = None) -> int:
    """The most memory a process (this one) has had resident, bytes."""
    return _kilobytes(PROC / str(pid or "self") / "status", "VmHWM") * 1024


def resident_bytes() -> int:
    """Memory this process has resident now, bytes."""
    return _kilobytes(PROC / "self/status", "VmRSS") * 1024


def forget_peak() -> None:
    """Let `peak_bytes` of this process count from now on."""
    (PROC / "self/clear_refs").write_text("5")


def shared_out_bytes(pids: Iterable[int]) -> int:
    """Memory of processes and their descendants, bytes; a page that several share counts once."""
    total = 0
    for pid in family(pids):
        with contextlib.suppress(*CLOSED):
            total += _kilobytes(PROC / str(pid) / "smaps_rollup", "Pss")
    return total * 1024


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third (the state) on; the name before may hold anything."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _kilobytes(file: Path, name: str) -> int:
    for line in file.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0
