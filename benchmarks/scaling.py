"""Rounds by number of workers, each with one thread: of a fixed number of clients, and of four a worker."""

import contextlib
import os
from functools import partial
from pathlib import Path

from benchmarks.pipeline import Pipeline
from benchmarks.records import Curve, Measurement, Record
from benchmarks.synthetic_data import write_prepared
from benchmarks.turns import in_turn
from benchmarks.watching import Readings

NUMBERS = (1, 2, 4, 8, 16)
CLIENTS_A_WORKER, IMAGES = 4, 32
"""Clients of each worker in a round, and training images of a client."""
FIXED, GROWING = "fixed work", "growing work"


def measure(record: Record, folder: Path, quick: bool) -> None:
    """Measure as many workers as there are cores, at most 16, and fewer."""
    numbers = [number for number in NUMBERS if number <= (os.cpu_count() or 1)]
    side, rounds, turns = (32, 2, 1) if quick else (128, 3, 2)
    most = CLIENTS_A_WORKER * numbers[-1]
    clients = {
        FIXED: dict.fromkeys(numbers, most),
        GROWING: {number: CLIENTS_A_WORKER * number for number in numbers},
    }
    prepared = folder / "prepared"
    write_prepared(prepared, IMAGES * most, 16, (side, side))
    options = ["--epochs", str(rounds), "--augmentation", "none", "--train-batch-size", "16"]
    options += ["--input-shape", f"{side},{side}", "--num-clients", str(most)]
    with contextlib.ExitStack() as stack:
        contenders = {}
        for number in numbers:
            record.progress(f"starting workers: {number}")
            pipeline = stack.enter_context(
                Pipeline(folder / str(number), prepared, number, more={"DT_THREADS": "1", "DT_GPU": "none"})
            )
            for work, counts in clients.items():
                chosen = ",".join(map(str, range(counts[number])))
                contenders[work, number] = partial(pipeline.train, *options, "--clients", chosen)
        turned = in_turn(contenders, turns)
    for work, counts in clients.items():
        write_rows(record, work, counts, {number: turned[work, number] for number in numbers})


def write_rows(
    record: Record, work: str, counts: dict[int, int], turned: dict[int, list[list[Readings]]]
) -> None:
    """Write the seconds of steady rounds and the efficiency by number of workers.

    Efficiency is the work a second of each worker, as a share of that of a single one.

    Args:
        work: FIXED or GROWING.
        counts: clients in a round, by number of workers.
        turned: rounds of every turn, by number of workers.
    """
    seconds: dict[int, Measurement] = {}
    for number, turns in turned.items():
        values = [one["seconds"] for turn in turns for one in turn[1:]]
        name = f"{number} worker{'s' * (number > 1)}, {counts[number]} clients"
        seconds[number] = record.add(f"steady round, {work}", name, "s", values, seconds.get(1))
    clients_a_second = {number: counts[number] / row.median for number, row in seconds.items()}
    for number, speed in clients_a_second.items():
        efficiency = speed / number / clients_a_second[1]
        record.add(f"efficiency, {work}", f"{number} worker{'s' * (number > 1)}", "of one", [efficiency])
    points = [(float(number), row.median) for number, row in seconds.items()]
    record.curves.append(Curve(f"Steady round, {work}", "workers", "s", {"ours": points}))
