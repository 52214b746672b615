"""Measure the project side by side with plain Keras, bare Redis, plain OpenCV and Flower; Linux only.

python benchmarks/run.py                     everything; takes a while, and nothing else may run
python benchmarks/run.py round transfer      these parts alone
python benchmarks/run.py start --quick       tiny, only to see that it works

Writes a table, a page and plots to benchmarks/results/<date>. What each number is: benchmarks/README.md.
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
if sys.path[0] == str(ROOT / "benchmarks"):  # run as a script: `run` is the project's, not this file
    sys.path[0] = str(ROOT)

RESULTS = ROOT / "benchmarks/results"
PARTS = {
    "round": "rounds",
    "transfer": "transfer",
    "traffic": "traffic",
    "step": "training_step",
    "augmentation": "augmentation",
    "memory": "memory",
    "start": "start",
    "preprocessing": "preparation",
    "gpu": "gpu",
}
"""The parts, and the module of this package that measures each."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    names = f"{', '.join(PARTS)} [all; gpu only where there is one]"
    parser.add_argument("parts", nargs="*", metavar="PART", help=names)
    parser.add_argument("--quick", action="store_true", help="tiny, only to see that it works")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write [benchmarks/results/<date>]")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.parts) - set(PARTS)):
        parser.error(f"PART: received {', '.join(unknown)}, expected {', '.join(PARTS)}")
    return options


def enter_environment(script: str = __file__) -> int:
    """Go on with this script in the project's environment .venv, made if need be; if that fails, a status."""
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
    """Leave settings in the environment out of account, and say so."""
    from benchmarks.pipeline import without_settings

    for name in set(os.environ) - set(without_settings(dict(os.environ))):
        print(f"{name} is left out of account: the project is measured with its own settings")
        del os.environ[name]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def measure(parts: Sequence[str], quick: bool, out: Path, command: Sequence[str]) -> None:
    """Measure parts, one after the other, and write what is known after each.

    Args:
        parts: keys of PARTS.
        quick: tiny.
        out: folder of the results.
        command: how it can be repeated.
    """
    from benchmarks.machine import describe
    from benchmarks.records import Record
    from benchmarks.results import write_results

    drop_settings()
    machine = describe(command)
    if machine["load average before"] > 0.3 * machine["cores"]:
        print(f"This machine is busy (load {machine['load average before']:.1f}): do not trust the numbers.")
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
    """The command; returns its exit status."""
    options = parse(arguments)
    if not sys.platform.startswith("linux"):
        print("error: the benchmarks read /proc and need Linux", file=sys.stderr)
        return 2
    if status := enter_environment():
        return status
    from helpers.settings.errors import UserError

    # Like Ctrl-C it ends the processes that were started.
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
        print("stopped; the parts that were finished are written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
