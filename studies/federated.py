"""Federated learning against pooled training, other algorithms and liars; makes docs/results.md; Linux only.

python studies/federated.py               everything; some two hours on 2 cores
python studies/federated.py --no-liars    some 70 minutes; the same without --no-liars adds the liars later
python studies/federated.py --quick       tiny, only to see that it works

Every finished run is kept in --out: stop the command (Ctrl-C or SIGTERM) whenever you like and give it again,
on another day too; finished runs are skipped, a run that was begun goes on after its last round. If it was
killed, what it left running is ended first. Should code or packages have changed meanwhile, a begun run is
refused: remove its folder under models/ of --out. The page is written when all runs are finished. What each
number is: studies/README.md.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
if sys.path[0] == str(ROOT / "studies"):  # run as a script: `run` is the project's, not that beside it
    sys.path[0] = str(ROOT)

if TYPE_CHECKING:
    from studies.runs import Study

OUT, QUICK_OUT = ROOT / "studies/results/federated", ROOT / "studies/results/quick"
DATA_DIR = ROOT.parent / "shared/data/bus-bra"
PAGE = ROOT / "docs/results.md"
INPUT_SHAPE, QUICK_SHAPE = (64, 64), (16, 16)
QUICK_IMAGES, QUICK_ROUNDS = 80, 2


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    images = "0/, 1/ and manifest.csv with patient and device [../shared/data/bus-bra beside the repository]"
    add("--data-dir", type=Path, metavar="DIR", default=DATA_DIR, help=images)
    add("--seeds", type=int, nargs="+", default=[1, 2, 3], metavar="SEED", help="of splits and runs [1 2 3]")
    add("--rounds", type=int, default=10, help="of every run [10]")
    add("--reach", type=float, default=0.7, metavar="AUC", help="validation AUC to count rounds to [0.7]")
    add("--no-liars", action="store_true", help="without the runs in which clients lie, and their section")
    add("--out", type=Path, metavar="DIR", help="where the runs are kept [studies/results/federated]")
    add("--page", type=Path, metavar="FILE", help="[docs/results.md; with --quick results.md in --out]")
    add("--quick", action="store_true", help="noise of 16×16, 2 rounds, one seed, few cases, made anew")
    options = parser.parse_args(arguments)
    if min(options.seeds) < 0 or len(set(options.seeds)) < len(options.seeds):
        parser.error(f"--seeds: received {options.seeds}, expected different whole numbers from 0 on")
    if options.rounds < 1:
        parser.error(f"--rounds: received {options.rounds}, expected at least 1")
    return options


def study_of(options: argparse.Namespace) -> Study:
    """Images, and where the runs lie; for `--quick` with images of its own.

    Raises:
        OSError: the images for `--quick` cannot be written.
    """
    from studies.images import Images
    from studies.runs import Study

    def tell(line: str) -> None:
        print(line, flush=True)

    if not options.quick:
        out = options.out or OUT
        return Study(out, Images(options.data_dir, out / "prepared", INPUT_SHAPE, tell), options.rounds, tell)
    from benchmarks.synthetic_data import write_manifest, write_png_folder

    out = options.out or QUICK_OUT
    folder = out / "images"
    shutil.rmtree(out if options.out is None else folder, ignore_errors=True)
    write_png_folder(folder, QUICK_IMAGES, QUICK_SHAPE[0])
    write_manifest(folder, QUICK_IMAGES)
    return Study(out, Images(folder, out / "prepared", QUICK_SHAPE, tell), QUICK_ROUNDS, tell)


def command_of(options: argparse.Namespace) -> str:
    """How it can be repeated, without folders of this machine."""
    command = ["python studies/federated.py", "--seeds", *map(str, options.seeds)]
    command += ["--rounds", str(options.rounds), "--reach", f"{options.reach:g}"]
    command += ["--no-liars"] if options.no_liars else []
    return "python studies/federated.py --quick" if options.quick else " ".join(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = parse(arguments)
    if not sys.platform.startswith("linux"):
        print("error: the benchmarks read /proc and need Linux", file=sys.stderr)
        return 2
    from benchmarks.run import drop_settings, enter_environment

    if status := enter_environment(__file__):
        return status
    from benchmarks.watching import CommandFailed
    from helpers.cluster.errors import ClusterError
    from helpers.settings.errors import UserError
    from studies.leftovers import alone_in
    from studies.study import run_study

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, lambda number, frame: sys.exit(128 + number))  # ends what it started
    drop_settings()
    try:
        study = study_of(options)
        page = options.page or (study.folder / "results.md" if options.quick else PAGE)
        seeds = options.seeds[:1] if options.quick else options.seeds
        with alone_in(study.folder):
            what = {"liars": not options.no_liars, "few": options.quick}
            run_study(study, seeds, page, options.reach, command_of(options), **what)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (ClusterError, CommandFailed) as error:
        print(f"error: {error}\nfinished runs are kept: the same command goes on", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("stopped; finished runs are kept: the same command goes on", file=sys.stderr)
        return 130
    print(f"Results: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
