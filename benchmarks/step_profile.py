"""The parts of the fast step in bfloat16, by oneDNN's own record, and the least that its arithmetic takes.

python -m benchmarks.step_profile FOLDER BATCH     the process that is recorded; prints oneDNN's lines
"""

import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmarks.pipeline import CLIENTS, threads_of_each
from benchmarks.records import Record
from benchmarks.synthetic_data import write_prepared
from helpers.cluster.process_tuning import tune_process

ROOT = Path(__file__).resolve().parents[1]
BATCHES = 6
"""Steps of an epoch."""
SIDE = 128
STEP, PEAK, FLOPS = "fast step in bfloat16", "product of two matrices", "operations"
MATRIX = 2048
"""Rows and columns of the matrices whose product shows what the processor can do."""
PRODUCTS = 5
MARK = "measured:"
LINE = re.compile(
    r"^onednn_verbose,v1,primitive,exec,cpu,(?P<kind>\w+),[^,]*,(?P<direction>\w+),.*,(?P<shape>[^,]*),(?P<ms>[\d.e+-]+)$"
)
SHAPE = re.compile(r"ic(\d+)oc(\d+)_ih(\d+)")
DIRECTIONS = {
    "forward_training": "forward", "forward_inference": "forward", "undef": "", "backward": "backward",
    "backward_data": "gradient of inputs", "backward_weights": "gradient of weights",
}  # fmt: skip


def measure(record: Record, folder: Path, quick: bool) -> None:
    """Record an epoch of batches of 16, with a worker's number of threads."""
    batch_size = 2 if quick else 16
    prepared = folder / "prepared"
    write_prepared(prepared, BATCHES * batch_size, 8, (SIDE, SIDE))
    command = [sys.executable, "-m", "benchmarks.step_profile", str(prepared), str(batch_size)]
    environment = os.environ | {"ONEDNN_VERBOSE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    write_rows(record, done.stdout.splitlines(), batch_size)


def write_rows(record: Record, lines: Iterable[str], batch_size: int) -> None:
    """Write the milliseconds of a step by kind of work, and the least that its arithmetic takes.

    Args:
        lines: printed by the process; those before a MARK belong to what it names.
        batch_size: images of a step.
    """
    values: dict[str, float] = {}
    spent: dict[str, dict[str, float]] = {}
    since: dict[str, float] = defaultdict(float)
    for line in lines:
        if entry := LINE.match(line):
            since[_title(entry)] += float(entry["ms"])
        elif line.startswith(MARK):
            _, name, value = line.split(":")
            spent[name], values[name], since = since, float(value), defaultdict(float)
    what = f"{STEP}, batch {batch_size}"
    whole = record.add(what, "whole", "ms", [1000 * values[STEP] / BATCHES])
    by_time = sorted(spent[STEP].items(), key=lambda pair: -pair[1])
    known = {title: ms / BATCHES for title, ms in by_time}
    known["all else: TensorFlow's own kernels, input, Python"] = whole.median - sum(known.values())
    for title, ms in known.items():
        record.add(what, title, "ms", [ms], whole)
    if not spent[PEAK]:
        record.note("oneDNN recorded nothing; is it off, or is this a GPU?")
        return
    gigaflops = PRODUCTS * 2 * MATRIX**3 / sum(spent[PEAK].values()) / 1e6
    record.add("product of matrices in bfloat16", f"{MATRIX}×{MATRIX}", "GFLOP/s", [gigaflops])
    least = batch_size * values[FLOPS] / gigaflops / 1e6
    record.add(what, "arithmetic of convolutions and dense layers at that speed", "ms", [least], whole)


def _title(entry: re.Match[str]) -> str:
    kind, direction, shape = entry["kind"], entry["direction"], entry["shape"]
    words = [kind, DIRECTIONS.get(direction, direction)]
    if sizes := SHAPE.search(shape):
        words.append("of {} to {} channels, {} pixels".format(*sizes.groups()))
    return " ".join(filter(None, words))


def flops_of_image() -> float:
    """Return the floating-point operations of a step for an image: products and sums, of all but the first
    layer three times (forward, gradients of weights and of inputs).
    """
    from helpers.architectures.seed_cnn import build_seed_cnn

    total, is_first = 0.0, True
    for layer in build_seed_cnn((SIDE, SIDE, 3), fast=True).layers:
        if not (kernel := [weight for weight in layer.weights if weight.name == "kernel"]):
            continue
        shape = kernel[0].shape
        # Counted from the input, because the output of PooledConv2D is already pooled.
        height, width = layer.input.shape[1:3] if len(shape) == 4 else (1, 1)
        places = (height - shape[0] + 1) * (width - shape[1] + 1) if len(shape) == 4 else 1
        total += 2 * places * float(np.prod(shape)) * (2 if is_first else 3)
        is_first = False
    return total


def main(folder: Path, batch_size: int) -> None:
    """Train and multiply, with marks between oneDNN's lines."""
    tune_process()
    import tensorflow as tf

    from benchmarks.local_training import LocalTraining

    threads = threads_of_each(CLIENTS)
    settings = {"INPUT_SHAPE": (SIDE, SIDE), "TRAIN_BATCH_SIZE": batch_size, "THREADS": threads}
    settings |= {"TRAIN_STEP": "fast", "PRECISION": "mixed_bfloat16"}
    training = LocalTraining(folder, np.arange(BATCHES * batch_size), settings)
    training.epoch()  # builds and traces
    print(f"{MARK}start:0", flush=True)
    seconds = training.epoch()["seconds"]
    print(f"{MARK}{STEP}:{seconds}", flush=True)
    print(f"{MARK}{FLOPS}:{flops_of_image()}", flush=True)
    matrix = tf.cast(tf.random.normal((MATRIX, MATRIX)), tf.bfloat16)
    tf.linalg.matmul(matrix, matrix).numpy()
    print(f"{MARK}start:0", flush=True)
    began = time.perf_counter()
    for _ in range(PRODUCTS):
        tf.linalg.matmul(matrix, matrix).numpy()
    print(f"{MARK}{PEAK}:{time.perf_counter() - began}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
