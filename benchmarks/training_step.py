"""The training step: images per second of plain Keras and of the project's steps, in turn."""

import contextlib
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.pipeline import CLIENTS, threads_of_each
from benchmarks.records import Record
from benchmarks.remote_object import RemoteObject
from benchmarks.synthetic_data import write_prepared
from benchmarks.turns import in_turn

LIMITS = {2: (1.0, 1.5), 16: (1.15, 1.7)}
"""Batch sizes; the least speed of the fast step as a multiple of plain Keras, in float32 and in bfloat16."""
PLAIN, TUNED = "plain Keras fit", "plain Keras fit, process tuned as ours"
OURS, FAST, HALF = "ours, plain step", "ours, fast step", "ours, fast step in bfloat16"
STEPS = {
    OURS: {"TRAIN_STEP": "plain"},
    FAST: {"TRAIN_STEP": "fast"},
    "ours, plain step in bfloat16": {"TRAIN_STEP": "plain", "PRECISION": "mixed_bfloat16"},
    HALF: {"TRAIN_STEP": "fast", "PRECISION": "mixed_bfloat16"},
}
KERAS, TRAINING = "benchmarks.plain_keras.PlainKeras", "benchmarks.local_training.LocalTraining"


def measure(record: Record, folder: Path, quick: bool) -> None:
    """Measure every batch size, with a worker's number of threads."""
    side, count, turns = (32, 32, 2) if quick else (128, 96, 5)
    prepared = folder / "prepared"
    write_prepared(prepared, count, 8, (side, side))
    threads, rows = threads_of_each(CLIENTS), np.arange(count)
    for batch_size, limits in LIMITS.items():
        settings = {"INPUT_SHAPE": (side, side), "TRAIN_BATCH_SIZE": batch_size, "THREADS": threads}
        with contextlib.ExitStack() as stack:
            record.progress(f"batch {batch_size}: starting processes")
            processes = {}
            for name, is_tuned in ((PLAIN, False), (TUNED, True)):
                plain = RemoteObject(KERAS, prepared, rows, batch_size, threads, is_tuned=is_tuned)
                processes[name] = stack.enter_context(plain)
            for name, step in STEPS.items():
                ours = RemoteObject(TRAINING, prepared, rows, settings | step)
                processes[name] = stack.enter_context(ours)
            for process in processes.values():
                process.ask("epoch")  # builds and traces
            epochs_of = in_turn({name: partial(one.ask, "epoch") for name, one in processes.items()}, turns)
        what = f"training step, batch {batch_size}"
        speeds = {name: [count / one["seconds"] for one in epochs] for name, epochs in epochs_of.items()}
        reference = record.add(what, PLAIN, "images/s", speeds.pop(PLAIN))
        rows_of = {name: record.add(what, name, "images/s", own, reference) for name, own in speeds.items()}
        for name, limit in zip((FAST, HALF), limits, strict=True):
            target = f"{name.removeprefix('ours, ')} / plain Keras fit, {what}"
            record.target(target, limit, rows_of[name].ratio, "×", at_least=True)
