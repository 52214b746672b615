"""The cost of augmentation in a training, with all cores busy as in a round."""

import contextlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pipeline import CLIENTS, threads_of_each
from benchmarks.records import Record
from benchmarks.remote_object import RemoteObject, ask_all
from benchmarks.synthetic_data import write_prepared
from benchmarks.turns import in_turn

LIMIT = 0.96
"""Share of the images per second without augmentation."""


def measure(record: Record, folder: Path, quick: bool) -> None:
    """Train as many clients at once as there are workers, with and without the README's augmentation.

    In a round no core is idle. On an idle core the augmenting thread would seem free.
    """
    side, count, turns = (32, 48, 2) if quick else (128, 144, 5)
    prepared = folder / "prepared"
    write_prepared(prepared, count, 8, (side, side))
    settings: dict[str, Any] = {"INPUT_SHAPE": (side, side), "THREADS": threads_of_each(CLIENTS)}
    with contextlib.ExitStack() as stack:
        record.progress("starting processes")
        clients = [
            stack.enter_context(
                RemoteObject("benchmarks.local_training.LocalTraining", prepared, rows, settings)
            )
            for rows in np.array_split(np.arange(count), CLIENTS)
        ]
        ask_all(clients, "epoch", "none")  # builds and traces
        ask_all(clients, "epoch", "readme")
        names = ("none", "readme")
        epochs = in_turn({name: partial(ask_all, clients, "epoch", name) for name in names}, turns)
    what = f"training, {CLIENTS} clients at once, batch 2"
    slowest = {name: [max(one["seconds"] for one in each) for each in epochs[name]] for name in names}
    used = {name: [sum(one["cpu"] for one in each) for each in epochs[name]] for name in names}
    speeds = {name: [count / seconds for seconds in slowest[name]] for name in names}
    plain = record.add(what, "no augmentation", "images/s", speeds["none"])
    readme = record.add(what, "the README's augmentation", "images/s", speeds["readme"], plain)
    extra = [1e3 * (more - less) / count for more, less in zip(used["readme"], used["none"], strict=True)]
    record.add("extra processor time per image", "the README's augmentation", "ms", extra)
    record.target("images/s with augmentation / without", LIMIT, readme.ratio, "×", at_least=True)
