"""Study of federated learning: pooled training, algorithms and attacks; makes docs/results.md; Linux only.

python -m studies.federated               everything; about half an hour for each seed on 2 cores
python -m studies.federated --seeds 1 2   of these test folds only
python -m studies.federated --no-liars    without malicious clients
python -m studies.federated --quick       tiny, as a check

Every finished run is kept in --out. Stop the command at any time (Ctrl-C or SIGTERM) and give it again: it
skips finished runs and resumes a begun one after its last round. If it was killed, its leftover processes are
ended first. A begun run of other code or packages is refused: remove its folder under models/ of --out. The
page is written when all runs are finished. studies/README.md explains each number.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
if sys.path[0] == str(ROOT / "studies"):  # run as a script: `import run` must find the project's
    sys.path[0] = str(ROOT)

from studies.command import run_command  # noqa: E402

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
    images = "folder with 0/, 1/ and manifest.csv (patient, device, fold) [../shared/data/bus-bra]"
    add("--data-dir", type=Path, metavar="DIR", default=DATA_DIR, help=images)
    seeds = "seed N has the Nth fold as its test, and begins again after the last one [1 2 3 4]"
    add("--seeds", type=int, nargs="+", default=[1, 2, 3, 4], metavar="SEED", help=seeds)
    add("--rounds", type=int, default=24, help="of every run [24]")
    add("--reach", type=float, default=0.7, metavar="AUC", help="validation AUC to count rounds to [0.7]")
    add("--no-liars", action="store_true", help="leave out the runs with malicious clients")
    add("--out", type=Path, metavar="DIR", help="where runs are kept [studies/results/federated]")
    add("--page", type=Path, metavar="FILE", help="[docs/results.md; with --quick results.md in --out]")
    add("--quick", action="store_true", help="noise images of 16×16, 2 rounds, one seed, few cases")
    options = parser.parse_args(arguments)
    if min(options.seeds) < 1 or len(set(options.seeds)) < len(options.seeds):
        parser.error(f"--seeds: received {options.seeds}, expected different whole numbers from 1 on")
    if options.rounds < 1:
        parser.error(f"--rounds: received {options.rounds}, expected at least 1")
    return options


def study_of(options: argparse.Namespace) -> Study:
    """Return the study; with `--quick` also write its images.

    Raises:
        OSError: the images cannot be written.
    """
    from studies.folds import FoldImages
    from studies.images import Images
    from studies.runs import Study

    def report(line: str) -> None:
        print(line, flush=True)

    if not options.quick:
        out = options.out or OUT
        images = FoldImages(options.data_dir, out / "prepared", INPUT_SHAPE, report)
        return Study(out, images, options.rounds, report)
    from benchmarks.synthetic_data import write_manifest, write_png_folder

    out = options.out or QUICK_OUT
    folder = out / "images"
    shutil.rmtree(out if options.out is None else folder, ignore_errors=True)
    write_png_folder(folder, QUICK_IMAGES, QUICK_SHAPE[0])
    write_manifest(folder, QUICK_IMAGES)
    return Study(out, Images(folder, out / "prepared", QUICK_SHAPE, report), QUICK_ROUNDS, report)


def command_of(options: argparse.Namespace) -> str:
    """Return the command that repeats the study, without folders of this machine."""
    command = ["python -m studies.federated", "--seeds", *map(str, options.seeds)]
    command += ["--rounds", str(options.rounds), "--reach", f"{options.reach:g}"]
    command += ["--no-liars"] if options.no_liars else []
    return "python -m studies.federated --quick" if options.quick else " ".join(command)


def run(options: argparse.Namespace) -> Path:
    """Train what is missing and write the page; return it."""
    from studies.leftovers import alone_in
    from studies.study import run_study

    study = study_of(options)
    page = options.page or (study.folder / "results.md" if options.quick else PAGE)
    seeds = options.seeds[:1] if options.quick else options.seeds
    with alone_in(study.folder):
        what = {"liars": not options.no_liars, "few": options.quick}
        run_study(study, seeds, page, options.reach, command_of(options), **what)
    return Path(page)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = parse(arguments)
    return run_command(__file__, lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
