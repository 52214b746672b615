"""Study of the recipes: pooled and federated training on the folds of real images; Linux only.

python -m studies.recipes --recipe ultrasound           40 trainings of at most ten minutes of processor time
python -m studies.recipes --recipe ultrasound_small     56 trainings of at most four minutes
python -m studies.recipes --recipe ultrasound --cases pooled device --seeds 1 2

Makes docs/recipe-results/<recipe>.md from all finished runs; a page with runs missing says so. Stop the
command at any time and give it again: it keeps finished runs. studies/README.md explains each number.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if sys.path[0] == str(ROOT / "studies"):  # run as a script: `import run` must find the project's
    sys.path[0] = str(ROOT)

from studies.cases import Case  # noqa: E402
from studies.command import run_command  # noqa: E402

DATA_DIR = ROOT.parent / "shared/data/bus-bra"
PAGES = ROOT / "docs/recipe-results"
SHAPES = {"ultrasound": (128, 128), "ultrasound_small": (64, 64)}
ROUNDS = 24
"""As in the recipes."""
BY_DEVICE = ("--partition", "site", "--site-column", "device")
DIRICHLET = ("--num-clients", "4", "--partition", "dirichlet", "--dirichlet-alpha", "0.3")
CASES = {
    case.name: case
    for case in (
        Case("pooled", "pooled", ("--num-clients", "1", "--partition", "iid")),
        Case("device", "by device (4 clients)", BY_DEVICE),
        Case("iid", "iid (4 clients)", ("--num-clients", "4", "--partition", "iid")),
        Case("patient", "by patient (4 clients)", ("--num-clients", "4", "--partition", "patient")),
        Case("dirichlet", "Dirichlet .3 (4 clients)", DIRICHLET),
        Case(
            "dirichlet-plain", "the same without logit adjustment",
            (*DIRICHLET, "--logit-adjustment", "false"),
        ),
        *(
            Case(f"alone-{number}", f"device {number} alone", (*BY_DEVICE, "--clients", str(number)))
            for number in range(4)
        ),
    )
}  # fmt: skip

TRAINING = (
    *("--optimizer", "adam", "--base-lr", "0.001", "--momentum", "0", "--lr-schedule", "constant"),
    *("--logit-adjustment", "false", "--ema-decay", "0"),
)
BATCH_NORM = ("--batch-norm-momentum", "0.99")
AUGMENTATION = ("--augmentation", "readme")
"""The values of the README in place of the recipe's, in three groups."""
CHANGES = {
    case.name: case
    for case in (
        Case("readme", "values of the README", (*BY_DEVICE, *TRAINING, *BATCH_NORM, *AUGMENTATION)),
        Case("training", "… and the recipe's training", (*BY_DEVICE, *BATCH_NORM, *AUGMENTATION)),
        Case("batch-norm", "… and its batch normalization", (*BY_DEVICE, *TRAINING, *AUGMENTATION)),
        Case("augmentation", "… and its augmentation", (*BY_DEVICE, *TRAINING, *BATCH_NORM)),
    )
}
"""What each group of `ultrasound_small` changes by itself; with all of them it is the case `device`."""


def cases_of(recipe: str) -> dict[str, Case]:
    """Return the cases of a recipe by name, in order."""
    return CASES | CHANGES if recipe == "ultrasound_small" else CASES


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("--recipe", choices=sorted(SHAPES), default="ultrasound", help="[ultrasound]")
    images = "folder with 0/, 1/ and manifest.csv (patient, device, fold) [../shared/data/bus-bra]"
    add("--data-dir", type=Path, metavar="DIR", default=DATA_DIR, help=images)
    seeds = "seed N has the Nth fold as its test, and begins again after the last one [1 2 3 4]"
    add("--seeds", type=int, nargs="+", default=[1, 2, 3, 4], metavar="SEED", help=seeds)
    add("--cases", nargs="+", choices=list(CASES | CHANGES), metavar="CASE",
        help=f"of {', '.join(CASES)}; with ultrasound_small also {', '.join(CHANGES)} [all]")  # fmt: skip
    add("--out", type=Path, metavar="DIR", help="where runs are kept [studies/results/recipe-RECIPE]")
    options = parser.parse_args(arguments)
    if min(options.seeds) < 1 or len(set(options.seeds)) < len(options.seeds):
        parser.error(f"--seeds: received {options.seeds}, expected different whole numbers from 1 on")
    options.cases = options.cases or list(cases_of(options.recipe))
    if others := [name for name in options.cases if name not in cases_of(options.recipe)]:
        parser.error(f"--cases: {', '.join(others)}: only with --recipe ultrasound_small")
    return options


def run(options: argparse.Namespace) -> Path:
    """Train what is missing and write the page; return it."""
    from studies.folds import FoldImages
    from studies.leftovers import alone_in
    from studies.recipe_page import write_recipe_page
    from studies.runs import Study

    report = partial(print, flush=True)
    out = options.out or ROOT / f"studies/results/recipe-{options.recipe}"
    images = FoldImages(options.data_dir, out / "prepared", SHAPES[options.recipe], report)
    study = Study(out, images, ROUNDS, report, ("--recipe", options.recipe))
    known = cases_of(options.recipe)
    cases = [known[name] for name in options.cases]
    page = PAGES / f"{options.recipe}.md"
    with alone_in(study.folder):
        study.expect(len(options.seeds) * len(cases))
        for case in cases:
            for seed in options.seeds:
                study.run_cases(seed, [case])
        write_recipe_page(
            page, study, images, options.recipe, list(known.values()), options.seeds, list(CHANGES)
        )
    return page


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = parse(arguments)
    return run_command(__file__, lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
