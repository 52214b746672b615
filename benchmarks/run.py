"""Benchmarks of the project against plain Keras, bare Redis, plain OpenCV and Flower; Linux only.

python benchmarks/run.py                     everything; the machine must be idle otherwise
python benchmarks/run.py round transfer      only these parts
python benchmarks/run.py start --quick       tiny, as a check

Writes a table, a page and plots to benchmarks/results/<date>. benchmarks/README.md explains each number.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if sys.path[0] == str(ROOT / "benchmarks"):  # run as a script: `import run` must find the project's
    sys.path[0] = str(ROOT)

RESULTS = ROOT / "benchmarks/results"
PARTS = {
    "round": "rounds",
    "first": "first_rounds",
    "clients": "many_clients",
    "scaling": "scaling",
    "transfer": "transfer",
    "traffic": "traffic",
    "secure": "secure",
    "provisioned": "provisioned",
    "step": "training_step",
    "profile": "step_profile",
    "private": "private_step",
    "augmentation": "augmentation",
    "memory": "memory",
    "start": "start",
    "preprocessing": "preparation",
    "gpu": "gpu",
}
"""The parts, and the module that measures each."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    names = f"{', '.join(PARTS)} [all; gpu only where there is one]"
    parser.add_argument("parts", nargs="*", metavar="PART", help=names)
    parser.add_argument("--quick", action="store_true", help="tiny, as a check")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write [benchmarks/results/<date>]")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.parts) - set(PARTS)):
        parser.error(f"PART: received {', '.join(unknown)}, expected {', '.join(PARTS)}")
    return options


def enter_environment(script: str = __file__) -> int:
    """Continue in the project's environment .venv, made if absent; return a status if that fails."""
    import run as project

    try:
        if not project.is_installed("demo"):
            project.install("demo")
    except subprocess.CalledProcessError as error:
        print(f"error: the installation failed (status {error.returncode}); see above", file=sys.stderr)
        return 1
    if not project.inside_venv():
        sys.stdout.flush()
        os.execv(project.venv_python(), [str(project.venv_python()), script, *sys.argv[1:]])
    return 0


def drop_settings() -> None:
    """Remove settings of the project from the environment and say so."""
    from benchmarks.pipeline import without_settings

    for name in set(os.environ) - set(without_settings(dict(os.environ))):
        print(f"{name} is ignored: benchmarks use the default settings")
        del os.environ[name]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def measure(parts: Sequence[str], quick: bool, out: Path, command: Sequence[str]) -> None:
    """Measure parts one after the other and write the results after each.

    Args:
        parts: keys of PARTS.
        quick: use tiny sizes, as a check.
        out: folder of the results.
        command: repeats the measurement.
    """
    from benchmarks.machine import describe
    from benchmarks.records import Record
    from benchmarks.results import write_results

    drop_settings()
    machine = describe(command)
    if machine["load average before"] > 0.3 * machine["cores"]:
        print(
            f"This machine is busy (load {machine['load average before']:.1f}): the numbers are not reliable."
        )
    records = []
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as scratch:
        for part in parts:
            print(f"{part}:", flush=True)
            began = time.monotonic()
            record = Record(part, lambda line: print(line, flush=True))
            folder = Path(scratch) / part
            folder.mkdir()
            import_module(f"benchmarks.{PARTS[part]}").measure(record, folder, quick)
            shutil.rmtree(folder)
            print(f"  {part} took {time.monotonic() - began:.0f} s", flush=True)
            records.append(record)
            write_results(out, records, machine)
    print(f"Results: {out / 'results.md'}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = parse(arguments)
    if not sys.platform.startswith("linux"):
        print("error: the benchmarks read /proc and need Linux", file=sys.stderr)
        return 2
    if status := enter_environment():
        return status
    from helpers.settings.errors import UserError

    # SIGTERM ends the processes that were started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    default = "quick" if options.quick else time.strftime("%Y-%m-%d")
    has_gpu = shutil.which("nvidia-smi") is not None
    parts = options.parts or [part for part in PARTS if part != "gpu" or has_gpu]
    command = ["python", "benchmarks/run.py", *sys.argv[1:]]
    try:
        measure(parts, options.quick, options.out or RESULTS / default, command)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; results of the finished parts are written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
