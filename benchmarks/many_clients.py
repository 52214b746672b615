"""Rounds of many small clients: the project against Flower's simulation, on the same number of processes."""

import os
import subprocess
from functools import partial
from pathlib import Path

from benchmarks.flower import Flower
from benchmarks.pipeline import Pipeline
from benchmarks.records import Measurement, Record
from benchmarks.round_rows import FLOWER
from benchmarks.synthetic_data import write_prepared
from benchmarks.turns import in_turn
from benchmarks.watching import Readings

NUMBERS = (10, 100, 1000)
IMAGES, SIDE, BATCH_SIZE = 3, 16, 16
"""Of each client; one step a round, so that what surrounds it is measured."""
OURS = "ours"
LIMIT = 0.5
"""Time of a round, as a multiple of that of Flower's simulation."""
MOST_SECONDS, MOST_MILLISECONDS = 15.0, 12.0
"""Of a round of the largest number of clients, and of one of these clients on its worker."""
WARM_UP, LONG = 4, 24
"""Rounds until the memory of all processes is warm, and rounds of the training that shows its growth."""


def measure(record: Record, folder: Path, quick: bool) -> None:
    """Measure steady rounds of 10, 100 and 1,000 clients, with one process for each processor."""
    count = os.cpu_count() or 1
    rounds, turns = (2, 1) if quick else (3, 2)
    for num_clients in NUMBERS[:1] if quick else NUMBERS:
        prepared = folder / f"prepared-{num_clients}"
        write_prepared(prepared, IMAGES * num_clients, 20, (SIDE, SIDE))
        options = ["--num-clients", str(num_clients), "--augmentation", "none"]
        options += ["--input-shape", f"{SIDE},{SIDE}", "--train-batch-size", str(BATCH_SIZE)]
        with Pipeline(folder / str(num_clients), prepared, count) as pipeline:
            contenders = {OURS: partial(pipeline.train, "--epochs", str(rounds), *options)}
            try:
                flower = Flower(prepared, num_clients, 1, actors=count)
                contenders[FLOWER] = partial(flower.train, rounds, BATCH_SIZE)
            except subprocess.CalledProcessError as error:
                record.note(f"Flower is left out: its environment could not be made ({error})")
            turned = in_turn(contenders, turns)
            write_rows(record, num_clients, turned)
            if num_clients == NUMBERS[-1]:
                long = pipeline.train("--epochs", str(LONG), *options)
                write_growth(record, num_clients, long[WARM_UP:])


def write_rows(record: Record, num_clients: int, turned: dict[str, list[list[Readings]]]) -> None:
    """Write the seconds of steady rounds, and the processor time of a client and its time on its worker."""
    steady = {name: [one for turn in turns for one in turn[1:]] for name, turns in turned.items()}
    what = f"steady round of {num_clients} clients"
    rows: dict[str, Measurement] = {}
    for name in sorted(steady, key=lambda name: name != FLOWER):
        seconds = [one["seconds"] for one in steady[name]]
        rows[name] = record.add(what, name, "s", seconds, rows.get(FLOWER))
        each = [1000 * one["cpu"] / num_clients for one in steady[name]]
        record.add(f"processor time of a client, {num_clients} clients", name, "ms", each)
    on_worker = f"time of a client on its worker, {num_clients} clients"
    mean, _ = (
        record.add(on_worker, kind, "ms", [1000 * one[f"client {kind}"] for one in steady[OURS]])
        for kind in ("mean", "median")
    )
    if FLOWER in rows:
        record.target(f"{what} / Flower's simulation", LIMIT, rows[OURS].ratio, "×")
    if num_clients == NUMBERS[-1]:
        record.target(what, MOST_SECONDS, rows[OURS].median, "s")
        record.target(f"{on_worker}, mean", MOST_MILLISECONDS, mean.median, "ms")


def write_growth(record: Record, num_clients: int, rounds: list[Readings]) -> None:
    """Write by how much the memory of a process grows in a warm round."""
    for name in ("workers", "command"):
        what = f"growth of the memory in a round of {num_clients} clients"
        record.add(what, name, "MB", [one[name] / 1e6 for one in rounds])
