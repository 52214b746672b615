"""The trip of one warm round through the code: the project's files, functions and lines it touches.

python -m benchmarks.round_trip               FedAvg with default settings, tiny images, two workers
python -m benchmarks.round_trip --functions   also every function of each part, with its number of lines

A trip holds the functions that are called while the executor runs the second round, while a worker trains
one client, and while a worker aggregates. Lines are all source lines of these functions. All weights are in
Redis.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from functools import reduce
from operator import or_
from pathlib import Path

from benchmarks.pipeline import Pipeline
from benchmarks.synthetic_data import write_prepared
from benchmarks.traced_orchestrator import PART, WARM_ROUND
from benchmarks.traced_worker import VARIABLE
from benchmarks.tracing import ROOT, Trip, definition_of, lines_of

PARTS = {"orchestrator": PART, "one training": "tasks.train", "one aggregation": "tasks.aggregate"}
"""The parts of a round, and the names under which their trips are written."""
WHOLE = "all, each once"
SIDE = 16


def measure_trip(folder: Path, num_workers: int = 2) -> dict[str, Trip]:
    """Run two rounds and return the trips of the second: of each part, and of all together.

    Args:
        folder: receives everything that is written; it does not exist yet.
        num_workers: worker processes, as many as clients.

    Raises:
        subprocess.CalledProcessError: the training failed and has printed why.
    """
    trips = folder / "trips"
    trips.mkdir(parents=True)
    write_prepared(folder / "prepared", 12 * num_workers, 8, (SIDE, SIDE))
    command = [sys.executable, "-m", "benchmarks.traced_orchestrator", "--run", "traced"]
    command += ["--epochs", str(WARM_ROUND), "--input-shape", f"{SIDE},{SIDE}"]
    with Pipeline(
        folder / "pipeline",
        folder / "prepared",
        num_workers,
        all_in_redis=True,
        app="benchmarks.traced_worker",
        more={VARIABLE: str(trips)},
    ) as pipeline:
        subprocess.run(command, cwd=ROOT, env=pipeline.environment, stdout=subprocess.DEVNULL, check=True)
    parts = {part: _read_last(trips, name) for part, name in PARTS.items()}
    return parts | {WHOLE: reduce(or_, parts.values())}


def _read_last(folder: Path, name: str) -> Trip:
    """Return the last trip of the warm round that was written under this name."""
    *_, file = sorted(folder.glob(f"{name}-{WARM_ROUND}-*.json"))
    return Trip({(path, first) for path, first in json.loads(file.read_text())})


def main() -> int:
    """Measure and print the trip; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--functions", action="store_true", help="also print every function")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="round-trip-") as folder:
        trips = measure_trip(Path(folder) / "round")
    print(f"{'part':<16}{'files':>7}{'functions':>11}{'lines':>8}")
    for part, trip in trips.items():
        print(f"{part:<16}{len(trip.files):>7}{len(trip.functions):>11}{len(trip.lines):>8,}")
    for part in PARTS if options.functions else ():
        print(f"\n{part}")
        for file, first in sorted(trips[part].functions):
            name, count = definition_of(file, first).name, len(lines_of(file, first))
            print(f"  {file}:{first} {name} ({count} lines)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
