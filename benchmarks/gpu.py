"""A warm round on one GPU: this project with one worker against plain `fit`."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.floor import Floor
from benchmarks.pipeline import Pipeline, threads_of_each
from benchmarks.records import Record
from benchmarks.synthetic_data import write_prepared
from benchmarks.turns import in_turn
from benchmarks.watching import Readings
from helpers.settings.errors import UserError, how_to_install

LIMIT = 1.05
COUNT_GPUS = "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))"
PLAIN, OURS = "plain fit", "ours"
VARIANTS = {
    "ours, mixed_bfloat16": ["--precision", "mixed_bfloat16"],
    "ours, mixed_float16": ["--precision", "mixed_float16"],
    "ours, XLA": ["--xla", "true"],
}
"""Variants that have no target."""


class NoGpu(UserError):
    """TensorFlow finds no GPU."""


def measure(record: Record, folder: Path, quick: bool) -> None:
    """Measure steady rounds of one client at several batch sizes.

    Raises:
        NoGpu: TensorFlow finds no GPU.
    """
    check_gpu()
    num_train, num_val, side, turns = (24, 12, 32, 1) if quick else (1890, 630, 128, 4)
    prepared = folder / "prepared"
    write_prepared(prepared, num_train, num_val, (side, side))
    for batch_size in (16,) if quick else (16, 64):
        options = ["--epochs", "3", "--num-workers", "1", "--train-batch-size", str(batch_size)]
        options += ["--augmentation", "none", "--input-shape", f"{side},{side}"]
        with (
            Floor(prepared, 1, batch_size, threads_of_each(1)) as floor,
            Pipeline(folder / f"batch-{batch_size}", prepared, 1) as pipeline,
        ):
            floor.round()
            contenders: dict[str, Callable[[], list[Readings]]] = {
                PLAIN: partial(_two_rounds, floor),
                OURS: partial(pipeline.train, *options),
                **{name: partial(pipeline.train, *options, *more) for name, more in VARIANTS.items()},
            }
            rounds = in_turn(contenders, turns)
        what = f"steady round on one GPU, batch {batch_size}"
        plain = record.add(what, PLAIN, "s", [one["seconds"] for turn in rounds[PLAIN] for one in turn])
        ours = record.add(
            what, OURS, "s", [one["seconds"] for turn in rounds[OURS] for one in turn[1:]], plain
        )
        for name in VARIANTS:
            record.add(what, name, "s", [one["seconds"] for turn in rounds[name] for one in turn[1:]], plain)
        record.target(f"{what} / plain fit", LIMIT, ours.ratio, "×")


def _two_rounds(floor: Floor) -> list[Readings]:
    return [floor.round(), floor.round()]


def check_gpu() -> None:
    """Check that TensorFlow finds a GPU, in another process so that this one occupies none.

    Raises:
        NoGpu: the message says what to install.
    """
    done = subprocess.run([sys.executable, "-c", COUNT_GPUS], capture_output=True, text=True)
    if done.returncode or int(done.stdout or 0) < 1:
        raise NoGpu(
            "gpu: TensorFlow finds no GPU on this machine; leave the part out, or if it has one, "
            + how_to_install("gpu")
        )
