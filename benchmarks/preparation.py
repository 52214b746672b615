"""Preprocessing: images per second against a plain OpenCV loop, and memory."""

import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks.pipeline import without_settings
from benchmarks.processes import shared_out_bytes
from benchmarks.records import Record
from benchmarks.synthetic_data import write_png_folder
from benchmarks.turns import in_turn
from benchmarks.watching import CommandFailed
from helpers.cluster.versions import ROOT
from helpers.launcher.child_processes import start_apart, stop_all

MEMORY_LIMIT_MB = 1000.0
LEAST_SPEED = 0.9
"""As a multiple of the plain loop's."""
SIDE = 128
SAMPLING_INTERVAL_S = 0.1
OURS, PLAIN = "ours", "a plain loop of OpenCV"


def measure(record: Record, folder: Path, quick: bool) -> None:
    """Measure the speed of the command on some images, then its memory on many."""
    count, many, turns = (200, 400, 1) if quick else (2_000, 20_000, 3)
    images, out = folder / "images", folder / "out"
    record.progress(f"drawing {count} images of 256×256")
    write_png_folder(images, count, 256)
    plain = ["-m", "benchmarks.plain_opencv", str(images), str(out), str(SIDE)]
    durations = in_turn(
        {PLAIN: partial(_seconds_of, plain, out), OURS: partial(_seconds_of, _ours(images, out), out)}, turns
    )
    what = f"{count} PNGs of 256×256 to arrays of {SIDE}×{SIDE}"
    speeds = {name: [count / seconds for seconds in values] for name, values in durations.items()}
    reference = record.add(what, PLAIN, "images/s", speeds[PLAIN])
    ours = record.add(what, OURS, "images/s", speeds[OURS], reference)
    record.target(f"speed of {what} / a plain loop of OpenCV", LEAST_SPEED, ours.ratio, "×", at_least=True)

    record.progress(f"drawing {many} images of 64×64")
    write_png_folder(folder / "many", many, 64)
    what = f"{many} PNGs of 64×64 to arrays of {SIDE}×{SIDE}"
    seconds, peak = _watched(_ours(folder / "many", out))
    record.add(what, OURS, "images/s", [many / seconds])
    record.add(f"peak memory of {what}", OURS, "MB", [peak / 1e6])
    record.target(f"peak memory of {what}", MEMORY_LIMIT_MB, peak / 1e6, "MB")


def _ours(images: Path, out: Path) -> list[str]:
    command = ["preprocessing/load_and_create_dataset.py", "--data-dir", str(images), "--out", str(out)]
    return [*command, "--input-shape", f"{SIDE},{SIDE}"]


def _seconds_of(arguments: list[str], out: Path) -> float:
    """Return the seconds a command takes and remove what it wrote to `out`.

    Raises:
        CommandFailed: it ended with an error, which the message repeats.
    """
    environment = without_settings(dict(os.environ))
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise CommandFailed(f"{' '.join(arguments)}: status {done.returncode}\n{done.stderr}")
    shutil.rmtree(out)
    return seconds


def _watched(arguments: list[str]) -> tuple[float, int]:
    """Return the seconds a command takes and the peak memory of its processes together, bytes.

    Raises:
        CommandFailed: it ended with an error.
    """
    began, peak = time.perf_counter(), 0
    environment = without_settings(dict(os.environ))
    process = start_apart([sys.executable, *arguments], subprocess.DEVNULL, environment)
    try:
        while process.poll() is None:
            peak = max(peak, shared_out_bytes([process.pid]))
            time.sleep(SAMPLING_INTERVAL_S)
    finally:
        stop_all([process])
    if process.returncode:
        raise CommandFailed(f"{' '.join(arguments)}: status {process.returncode}")
    return time.perf_counter() - began, peak
