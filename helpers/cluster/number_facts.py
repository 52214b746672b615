"""What decides the last bits of a worker's numbers, as its heartbeat shows it."""

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.cluster.able_workers import Workers
from helpers.cluster.process_tuning import ENVIRONMENT

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
INSTRUCTIONS = ("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd", "sve")
"""Flags of processors for which TensorFlow has kernels of their own."""


def number_facts(threads: int, versions: dict[str, str]) -> dict[str, Any]:
    """Return threads, oneDNN, processor and TensorFlow of this worker."""
    return {
        "threads": threads,
        "oneDNN": os.environ.get(ONEDNN, ENVIRONMENT[ONEDNN]),
        "processor": f"{platform.machine()} {' '.join(_instructions())}".strip(),
        "tensorflow": versions["tensorflow"],
    }


def _instructions(path: Path = Path("/proc/cpuinfo")) -> list[str]:
    try:
        lines = path.read_text().splitlines()
    except OSError:  # not Linux
        return []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "").split()
    return [name for name in INSTRUCTIONS if name in flags]


class NumberDifferences:
    """Warns once where workers of a run differ in what decides bits.

    Args:
        notice: receives the line.
    """

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._was_said = False

    def check(self, workers: Workers) -> None:
        """Compare the workers that do not belong to sites."""
        facts = {name: status.get("numbers") for name, status in workers.items() if not status.get("site")}
        known = {name: each for name, each in facts.items() if isinstance(each, dict)}
        names = sorted({name for each in known.values() for name in each})
        parts = []
        for name in names:
            values = {worker: str(each.get(name)) for worker, each in known.items()}
            if len(set(values.values())) > 1:
                of_each = ", ".join(f"{value} on {worker}" for worker, value in sorted(values.items()))
                parts.append(f"{name} ({of_each})")
        if parts and not self._was_said:
            self._was_said = True
            self._notice(f"workers differ in {'; '.join(parts)}: numbers depend on who trains which client")
