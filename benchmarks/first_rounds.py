"""First rounds in new processes of the floor and this project, in turn."""

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.pipeline import CLIENTS, Pipeline
from benchmarks.records import Record
from benchmarks.round_rows import FLOOR, FLOOR_AS_IS, OURS
from benchmarks.rounds import QUICK, Size, floor_of, training_options
from benchmarks.synthetic_data import write_prepared
from benchmarks.turns import in_turn

STARTS = 5
ALLOWANCE_S = 1.0


def measure(record: Record, folder: Path, quick: bool) -> None:
    """Measure the first round at every batch size; the processes of a contender end before others start.

    Args:
        record: receives rows and targets.
        folder: receives everything that is written.
        quick: use tiny sizes and one start, as a check.
    """
    size = QUICK if quick else Size()
    prepared = folder / "prepared"
    write_prepared(prepared, size.num_train, size.num_val, size.input_shape)
    numbers = itertools.count(1)

    def floor(batch_size: int, *, is_tuned: bool) -> float:
        with floor_of(prepared, batch_size, is_tuned=is_tuned) as started:
            return started.round()["seconds"]

    def ours(batch_size: int) -> float:
        with Pipeline(folder / f"start-{next(numbers)}", prepared, CLIENTS) as started:
            return started.train(*training_options(size, batch_size, 1))[0]["seconds"]

    for batch_size in size.batch_sizes:
        contenders: dict[str, Callable[[], float]] = {
            FLOOR: partial(floor, batch_size, is_tuned=True),
            OURS: partial(ours, batch_size),
            FLOOR_AS_IS: partial(floor, batch_size, is_tuned=False),
        }
        seconds = in_turn(
            contenders,
            1 if quick else STARTS,
            lambda name, one: record.progress(f"{name}: {one:.2f} s"),
        )
        what = f"first round, batch {batch_size}"
        reference = record.add(what, FLOOR, "s", seconds[FLOOR])
        row = record.add(what, OURS, "s", seconds[OURS], reference)
        record.add(what, FLOOR_AS_IS, "s", seconds[FLOOR_AS_IS], reference)
        late = row.median - reference.median
        record.target(f"first round − the floor's first, batch {batch_size}", ALLOWANCE_S, late, "s")
