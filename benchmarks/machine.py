"""The machine, versions and commit of a measurement."""

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from helpers.cluster.versions import ROOT
from helpers.launcher.embedded_redis import find_binary

PACKAGES = ("tensorflow", "keras", "numpy", "celery", "redis", "safetensors", "opencv-python-headless")
FLOWER = Path(__file__).resolve().parent / "requirements.txt"


def describe(command: Sequence[str]) -> dict[str, Any]:
    """Return the facts of machine.json, by which a reader judges and repeats the numbers."""
    return {
        "command": " ".join(command),
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "commit": _said("git", "rev-parse", "HEAD") or "unknown",
        "uncommitted changes": bool(_said("git", "status", "--porcelain", "--untracked-files=no")),
        "processor": _from_proc("cpuinfo", "model name") or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(int((_from_proc("meminfo", "MemTotal") or "0").split()[0]) / 1e6, 1),
        "gpu": _said("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader") or "none",
        "load average before": os.getloadavg()[0],
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "redis server": _said(str(find_binary()), "--version"),
        **{name: version(name) for name in PACKAGES},
        "flower": next(
            line.split()[0] for line in FLOWER.read_text().splitlines() if line.startswith("flwr")
        ),
    }


def _from_proc(file: str, name: str) -> str:
    for line in Path("/proc", file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _said(*command: str) -> str:
    """Return what a command prints; empty where it is absent or fails."""
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
