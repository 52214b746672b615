"""Rounds of the floor, this project and Flower, in turn."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.floor import Floor
from benchmarks.flower import Flower
from benchmarks.pipeline import CLIENTS, Pipeline, threads_of_each
from benchmarks.processes import cpu_seconds
from benchmarks.records import Record
from benchmarks.round_rows import FLOOR, FLOOR_AS_IS, FLOWER, OURS, OURS_FAST, OURS_HALF, write_rows
from benchmarks.synthetic_data import write_prepared
from benchmarks.turns import in_turn
from benchmarks.watching import Readings

Contender = Callable[[], list[Readings]]
"""Runs some rounds and returns the readings of each, in order."""


@dataclass(frozen=True)
class Size:
    """The size of the measurement: images, height and width, batch sizes, turns, rounds of a turn."""

    num_train: int = 189
    num_val: int = 63
    input_shape: tuple[int, int] = (128, 128)
    batch_sizes: tuple[int, ...] = (2, 16)
    turns: int = 4
    rounds: int = 4
    flower_turns: int = 2


QUICK = Size(24, 12, (32, 32), (4,), 1, 2, 1)


def measure(record: Record, folder: Path, quick: bool) -> None:
    """Measure rounds at every batch size, with new processes for each.

    Args:
        record: receives rows and targets.
        folder: receives everything that is written.
        quick: use tiny sizes, as a check.
    """
    size = QUICK if quick else Size()
    prepared = folder / "prepared"
    write_prepared(prepared, size.num_train, size.num_val, size.input_shape)
    flower = _flower(record, prepared)
    for batch_size in size.batch_sizes:
        with contextlib.ExitStack() as stack:
            record.progress(f"batch {batch_size}: starting the floor's processes and the workers")
            floor, as_is = (
                stack.enter_context(floor_of(prepared, batch_size, is_tuned=is_tuned))
                for is_tuned in (True, False)
            )
            pipeline = stack.enter_context(Pipeline(folder / f"batch-{batch_size}", prepared, CLIENTS))
            contenders = _contenders(size, batch_size, floor, as_is, pipeline)
            for warm_up in (floor.round, as_is.round, contenders[OURS]):
                warm_up()
            idle: list[float] = []
            standing = {name: contender.pids for name, contender in ((FLOOR, floor), (FLOOR_AS_IS, as_is))}
            standing |= {name: pipeline.pids for name in contenders if name not in standing}
            watched = {name: _idling(run, name, standing, idle) for name, run in contenders.items()}
            if flower is not None:
                watched[FLOWER] = partial(flower.train, size.rounds, batch_size)
            turns = _turns(record, watched, size)
        write_rows(record, f"batch {batch_size}", turns, idle)


def floor_of(prepared: Path, batch_size: int, *, is_tuned: bool = True) -> Floor:
    """Return the floor's processes for our number of clients and threads."""
    return Floor(prepared, CLIENTS, batch_size, threads_of_each(CLIENTS), is_tuned=is_tuned)


def training_options(size: Size, batch_size: int, rounds: int) -> list[str]:
    """Return the options of a training that does the floor's work."""
    shape = ",".join(map(str, size.input_shape))
    options = ["--epochs", str(rounds), "--train-batch-size", str(batch_size)]
    return [*options, "--augmentation", "none", "--input-shape", shape]


def _contenders(
    size: Size, batch_size: int, floor: Floor, as_is: Floor, pipeline: Pipeline
) -> dict[str, Contender]:
    options = training_options(size, batch_size, size.rounds)
    return {
        FLOOR: lambda: [floor.round() for _ in range(size.rounds - 1)],
        OURS: lambda: pipeline.train(*options, "--train-step", "plain"),
        OURS_FAST: lambda: pipeline.train(*options, "--train-step", "fast"),
        OURS_HALF: lambda: pipeline.train(*options, "--train-step", "fast", "--precision", "mixed_bfloat16"),
        FLOOR_AS_IS: lambda: [as_is.round() for _ in range(max(1, size.rounds // 4))],
    }


def _flower(record: Record, prepared: Path) -> Flower | None:
    try:
        return Flower(prepared, CLIENTS, threads_of_each(CLIENTS))
    except subprocess.CalledProcessError as error:
        record.note(f"Flower is left out: its environment could not be made ({error})")
        return None


def _idling(run: Contender, name: str, standing: Mapping[str, list[int]], idle: list[float]) -> Contender:
    """Wrap a contender to record what the waiting processes of the others use, in % of a core."""
    own = standing[name]
    others = {pid for pids in standing.values() if pids != own for pid in pids}

    def running() -> list[Readings]:
        began, used = time.perf_counter(), cpu_seconds(others)
        rounds = run()
        idle.append(100 * (cpu_seconds(others) - used) / (time.perf_counter() - began))
        return rounds

    return running


def _turns(
    record: Record, contenders: Mapping[str, Contender], size: Size
) -> dict[str, list[list[Readings]]]:
    """Run all contenders in turn; Flower, which starts slowly each time, has fewer turns."""

    def report(name: str, readings: list[Readings]) -> None:
        record.progress(f"{name}: " + ", ".join(f"{one['seconds']:.2f}" for one in readings) + " s")

    rounds = in_turn(contenders, size.flower_turns, report)
    others = {name: run for name, run in contenders.items() if name != FLOWER}
    for name, turns in in_turn(others, size.turns - size.flower_turns, report).items():
        rounds[name] += turns
    return rounds
