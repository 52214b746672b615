"""Rounds of many small clients: the project against Flower's simulation, on the same number of processes."""

import os
import subprocess
from functools import partial
from pathlib import Path

from benchmarks.flower import Flower
from benchmarks.pipeline import Pipeline
from benchmarks.records import Record
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


def measure(record: Record, folder: Path, quick: bool) -> None:
    """Measure steady rounds of 10, 100 and 1,000 clients, with one process for each processor."""
    count = os.cpu_count() or 1
    rounds, turns = (2, 1) if quick else (3, 2)
    for num_clients in NUMBERS[:1] if quick else NUMBERS:
        prepared = folder / f"prepared-{num_clients}"
        write_prepared(prepared, IMAGES * num_clients, 20, (SIDE, SIDE))
        options = ["--epochs", str(rounds), "--num-clients", str(num_clients), "--augmentation", "none"]
        options += ["--input-shape", f"{SIDE},{SIDE}", "--train-batch-size", str(BATCH_SIZE)]
        with Pipeline(folder / str(num_clients), prepared, count) as pipeline:
            contenders = {OURS: partial(pipeline.train, *options)}
            try:
                flower = Flower(prepared, num_clients, 1, actors=count)
                contenders[FLOWER] = partial(flower.train, rounds, BATCH_SIZE)
            except subprocess.CalledProcessError as error:
                record.note(f"Flower is left out: its environment could not be made ({error})")
            turned = in_turn(contenders, turns)
        write_rows(record, num_clients, turned)


def write_rows(record: Record, num_clients: int, turned: dict[str, list[list[Readings]]]) -> None:
    """Write the seconds of steady rounds, and their processor time for each client."""
    steady = {name: [one for turn in turns for one in turn[1:]] for name, turns in turned.items()}
    what, reference = f"steady round of {num_clients} clients", None
    for name in sorted(steady, key=lambda name: name != FLOWER):
        row = record.add(what, name, "s", [one["seconds"] for one in steady[name]], reference)
        each = [1000 * one["cpu"] / num_clients for one in steady[name]]
        record.add(f"processor time of a client, {num_clients} clients", name, "ms", each)
        if reference is not None:
            record.target(f"{what} / Flower's simulation", LIMIT, row.ratio, "×")
        reference = reference or row
