"""Flower as a contender, in a separate environment because its requirements conflict with the project's."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.pipeline import without_settings
from benchmarks.processes import cpu_seconds
from benchmarks.watching import Readings, watch
from helpers.global_config import Config
from preprocessing.feed.partitions import iid_partition

FOLDER = Path(__file__).resolve().parent
VENV = FOLDER / ".venv"
REQUIREMENTS = FOLDER / "requirements.txt"
START = "from benchmarks.flower_app import main; main()"


class Flower:
    """Rounds of `flower_app` on the prepared arrays of a folder.

    Args:
        prepared: the folder, which also receives the clients' rows.
        clients: their number.
        threads: TensorFlow threads of each.
        actors: processes that train them; None for one each.

    Raises:
        subprocess.CalledProcessError: the environment could not be made.
    """

    def __init__(self, prepared: Path, clients: int, threads: int, actors: int | None = None) -> None:
        self._python = environment_python()
        self._prepared = prepared
        self._clients = clients
        self._threads = threads
        self._actors = actors or clients
        shares = iid_partition(len(np.load(prepared / "y_train.npy")), clients, Config.SEED)
        for client, rows in enumerate(shares):
            np.save(prepared / f"share-{client}.npy", rows)

    def train(self, rounds: int, batch_size: int) -> list[Readings]:
        """Return `seconds` and processor seconds `cpu` of every round.

        Raises:
            CommandFailed: the simulation failed; the message has its last lines.
        """
        job = {
            "folder": str(self._prepared),
            "clients": self._clients,
            "threads": self._threads,
            "actors": self._actors,
        }
        job |= {"rounds": rounds, "batch_size": batch_size}
        command = [str(self._python), "-c", START, json.dumps(job)]
        environment = without_settings(dict(os.environ)) | {
            "PYTHONPATH": str(FOLDER.parent),
            "FLWR_TELEMETRY_ENABLED": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        return watch(command, environment, lambda pid: {"cpu": cpu_seconds([pid])})


def environment_python() -> Path:
    """Return the interpreter of benchmarks/.venv; make or renew it if requirements.txt has changed.

    Raises:
        subprocess.CalledProcessError: venv or pip failed and has printed why.
    """
    python = VENV / "bin/python"
    stamp = VENV / "installed.txt"
    text = f"{sys.version_info[:2]} {VENV}\n{REQUIREMENTS.read_text()}"
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    if not (stamp.is_file() and stamp.read_text() == fingerprint):
        print(f"Making the environment {VENV} for Flower (some minutes) …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)
        stamp.write_text(fingerprint)
    return python
