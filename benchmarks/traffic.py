"""Bytes in and out of Redis in a round, against the least that a round needs."""

from pathlib import Path

from benchmarks.pipeline import CLIENTS, Pipeline
from benchmarks.records import Record
from benchmarks.synthetic_data import write_prepared

LIMIT = 1.05
DTYPES = {"float32": 4, "float16": 2, "int8": 1}
"""Values of UPDATE_DTYPE, and the bytes of each number of an update."""


def measure(record: Record, folder: Path, quick: bool) -> None:
    """Measure steady rounds with every kind of update. Few images suffice, as images are never sent."""
    side, num_rounds = (32, 3) if quick else (128, 4)
    write_prepared(folder / "prepared", 12, 8, (side, side))
    options = ["--epochs", str(num_rounds), "--input-shape", f"{side},{side}", "--augmentation", "none"]
    record.progress("starting workers")
    with Pipeline(folder / "pipeline", folder / "prepared", CLIENTS, all_in_redis=True) as pipeline:
        for dtype, size in DTYPES.items():
            asked = f"traffic / the least, updates {dtype}"
            rounds = pipeline.train(*options, "--update-dtype", dtype)[1:]
            model = rounds[0]["bytes_down"] / CLIENTS  # float32, as every client reads it
            least = (CLIENTS + 1) * model + 2 * CLIENTS * model * size / 4
            what = f"traffic of a steady round, updates {dtype}"
            floor = record.add(what, "the least possible", "MB", [least / 1e6])
            moved = [(one["in"] + one["out"]) / 1e6 for one in rounds]
            ours = record.add(what, "ours, redis://", "MB", moved, floor)
            record.target(asked, LIMIT, ours.ratio, "×")
