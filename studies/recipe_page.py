"""The page of a recipe's study: one table of tests, one of differences from pooled training."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.machine import describe
from benchmarks.results import table
from helpers.run_records.files import write_whole
from studies.cases import Case
from studies.folds import VALIDATION_PERCENT, FoldImages
from studies.learning_curves import draw_curves
from studies.outcomes import Outcome, difference
from studies.page import conclusions, facts
from studies.runs import Study
from studies.tables import NOTHING, estimate, number, signed, with_interval

LEVEL = 0.8
"""Of the dashed line in the picture of learning curves."""
LEAST_VALUES = 3
"""For an interval over folds: two give one as wide as all that is possible."""
Outcomes = Mapping[int, Outcome]
"""The finished runs of a case, by seed."""
HOW_TO_READ = (
    "Seed and test fold go together: each column is a test on patients that no other column has, after a "
    f"training with another seed. {VALIDATION_PERCENT} % of the other folds' patients are the validation. "
    "The model is the one that the recipe's CHOICE takes by validation, tested once; in brackets its 95 % "
    "interval over patients. The mean of three or more columns has a 95 % interval over folds and seeds "
    "(Student's t), which is wide for few of them. *Last round*: mean AUC of the last round's weights, to "
    "show what choosing cost or gained."
)


def write_recipe_page(
    path: Path,
    study: Study,
    images: FoldImages,
    recipe: str,
    cases: Sequence[Case],
    seeds: Sequence[int],
    changes: Sequence[str] = (),
) -> None:
    """Write the page from the runs that are finished; the others are missing, and the page says so.

    Args:
        path: of the page.
        study, images, recipe, cases, seeds: of the study.
        changes: names of the cases that have values of the README in place of the recipe's, of which the page
            draws the learning curves next to that of `device`.

    Raises:
        UserError: a finished run has other settings.
        RecordError: a run's files cannot be read, or the page cannot be written.
    """
    finished = {
        case.name: {seed: study.outcome(seed, case) for seed in seeds if study.is_finished(seed, case)}
        for case in cases
    }
    shown = [one for outcomes in finished.values() for one in outcomes.values()]
    count, planned = len(shown), len(cases) * len(seeds)
    height, width = images.input_shape
    settings = {
        "images": f"{images.name}, {height}×{width} pixels",
        "seeds": ", ".join(f"{seed} (test fold {images.fold(seed)})" for seed in seeds),
        "rounds": f"{study.rounds}, unless a case says otherwise",
    }
    command = f"python -m studies.recipes --recipe {recipe}"
    parts = [
        f"# Recipe {recipe}: results",
        f"Made by `{command}`. Only {path.stem}-conclusions.md is written by hand.",
        *([f"**Partial: {count} of {planned} trainings are finished.**"] if count < planned else []),
        facts(command, describe(command.split()), shown, settings),
        HOW_TO_READ,
        results_table(cases, finished, seeds),
        "Test AUC minus that of pooled training on the same fold, paired by patient:",
        differences_table(cases, finished, seeds),
        *_curves(path, cases, finished, changes),
        "## Options",
        table(
            ["", "in addition to the recipe"], [[case.title, f"`{' '.join(case.options)}`"] for case in cases]
        ),
        "## Conclusions",
        conclusions(path.with_name(f"{path.stem}-conclusions.md")),
    ]
    write_whole(path, ("\n\n".join(parts) + "\n").encode())


def _curves(
    path: Path, cases: Sequence[Case], finished: Mapping[str, Outcomes], changes: Sequence[str]
) -> list[str]:
    """Draw the learning curves of the changes next to the page; return what the page shows of them."""
    drawn = [list(finished[case.name].values()) for case in cases if case.name in (*changes, "device")]
    drawn = [ones for ones in drawn if ones]
    if len(drawn) < 2:
        return []
    picture = path.with_name(f"{path.stem}-curves.png")
    write_whole(picture, draw_curves({"": drawn}, LEVEL))
    numbers = "; ".join(f"{ones[0].title}: {', '.join(str(one.seed) for one in ones)}" for ones in drawn)
    return [
        "## What the recipe changes, one at a time",
        f"Clients by device. Validation AUC by round, mean and range over seeds ({numbers}); it is that of "
        "about a hundred images, so single rounds differ by chance.",
        f"![Validation AUC by round]({picture.name})",
    ]


def results_table(cases: Sequence[Case], finished: Mapping[str, Outcomes], seeds: Sequence[int]) -> str:
    """Return a row for each case: test AUCs, that of the last round, traffic and time of a round."""
    head = [
        "test AUC",
        "mean",
        *(f"seed {seed}" for seed in seeds),
        "last round",
        "MB per round",
        "s per round",
    ]
    rows = []
    for case in cases:
        ones = finished[case.name]
        tests = {seed: one.files.test for seed, one in ones.items()}
        cells = [
            with_interval(*(tests[seed][name] for name in ("roc_auc", "roc_auc_low", "roc_auc_high")))
            if seed in tests else NOTHING
            for seed in seeds
        ]  # fmt: skip
        rows.append([
            case.title, _mean_with_interval([test["roc_auc"] for test in tests.values()]), *cells,
            number(_mean([_of_last_round(one) for one in ones.values()])),
            _one_digit([one.megabytes for one in ones.values()]),
            _one_digit([one.seconds for one in ones.values()]),
        ])  # fmt: skip
    return table(head, rows)


def differences_table(cases: Sequence[Case], finished: Mapping[str, Outcomes], seeds: Sequence[int]) -> str:
    """Return a row for each case but the first, which is the reference."""
    references = finished[cases[0].name]
    rows = []
    for case in cases[1:]:
        estimates = {
            seed: difference(one, references[seed])
            for seed, one in finished[case.name].items()
            if seed in references
        }
        cells = [estimate(estimates[seed]) if seed in estimates else NOTHING for seed in seeds]
        values = [each["difference"] for each in estimates.values() if each["difference"] is not None]
        rows.append([case.title, _mean_with_interval(values, signed), *cells])
    return table([f"minus {cases[0].title}", "mean", *(f"seed {seed}" for seed in seeds)], rows)


def interval_over_seeds(values: Sequence[float]) -> tuple[float, float, float]:
    """Return mean and 95 % interval by Student's t; the limits are NaN for fewer than LEAST_VALUES."""
    if len(values) < LEAST_VALUES:
        return _mean(values), math.nan, math.nan
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    return _mean(values), _mean(values) - float(half), _mean(values) + float(half)


def _mean_with_interval(values: Sequence[float], write: Callable[[float], str] = number) -> str:
    mean, low, high = interval_over_seeds(values)
    shown = f"**{write(mean)}**" if values else NOTHING
    return shown if math.isnan(low) else f"{shown} [{write(low)}, {write(high)}]"


def _of_last_round(one: Outcome) -> float:
    """Return the test AUC of the last round's weights, which is that of the model where it was chosen."""
    of_last = one.files.best.get("test_roc_auc_of_last")
    return float(one.files.test["roc_auc"] if of_last is None else of_last)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _one_digit(values: Sequence[float]) -> str:
    return f"{_mean(values):.1f}" if values else NOTHING
