"""The private training step (`DP=example`): images per second next to the plain step of the same network."""

import contextlib
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.pipeline import CLIENTS, threads_of_each
from benchmarks.records import Record
from benchmarks.remote_object import RemoteObject
from benchmarks.synthetic_data import write_prepared
from benchmarks.turns import in_turn

LEAST_SPEED = 0.5
"""Of the private step, as a multiple of the plain one."""
TRAINING = "benchmarks.local_training.LocalTraining"


def measure(record: Record, folder: Path, quick: bool) -> None:
    """Measure batches of 16, with a worker's number of threads."""
    side, count, turns = (32, 32, 2) if quick else (128, 96, 5)
    prepared = folder / "prepared"
    write_prepared(prepared, count, 8, (side, side))
    threads, rows = threads_of_each(CLIENTS), np.arange(count)
    settings = {"ARCHITECTURE": "seed_cnn_groupnorm", "INPUT_SHAPE": (side, side), "TRAIN_BATCH_SIZE": 16}
    private = {"DP": "example", "DP_NOISE_MULTIPLIER": 1.0}
    with contextlib.ExitStack() as stack:
        processes = {
            name: stack.enter_context(
                RemoteObject(TRAINING, prepared, rows, settings | {"THREADS": threads} | more)
            )
            for name, more in (("plain step", {}), ("private step", private))
        }
        for process in processes.values():
            process.ask("epoch")  # builds and traces
        epochs_of = in_turn({name: partial(one.ask, "epoch") for name, one in processes.items()}, turns)
    what = "training step of seed_cnn_groupnorm, batch 16"
    speeds = {name: [count / one["seconds"] for one in epochs] for name, epochs in epochs_of.items()}
    plain = record.add(what, "plain step", "images/s", speeds["plain step"])
    own = record.add(what, "private step", "images/s", speeds["private step"], plain)
    record.target(f"private step / plain step, {what}", LEAST_SPEED, own.ratio, "×", at_least=True)
