"""Summaries of all runs, and side-by-side rows for several runs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from helpers.evaluation.intervals import paired_difference
from helpers.reporting.run_files import RunFiles, read_run
from helpers.reporting.tables import NAMES
from helpers.settings.errors import UserError

MARKS = ("rounds.csv", "test.csv", "run.json")
"""Files that identify a run's folder: it has at least one of them."""
CLASS_MEANS = (
    "Precision, recall, F1, specificity and AUC of {runs} are means over the classes, each against the rest."
)


DIFFERENCE = "ROC-AUC of the first minus this one"


class UnknownRun(UserError):
    """A run of that name does not exist."""


@dataclass(frozen=True)
class Summary:
    """One row of the table of runs.

    Attributes:
        run: its name.
        test_auc, best_validation_auc: NaN if not yet known.
        rounds, planned: number of rounds done, and planned (None if not recorded).
        clients: number of clients in the last round.
        changed: time at which its files last changed, seconds since the epoch.
        is_finished: whether the run was tested.
        is_binary: whether there are two classes; with more, an AUC is a mean over them.
        data_digest: of its images; empty if not recorded.
        is_best: whether its validation AUC is the highest of the runs on the same images.
    """

    run: str
    test_auc: float
    best_validation_auc: float
    rounds: int
    planned: int | None
    clients: int
    changed: float
    is_finished: bool
    is_binary: bool
    data_digest: str = ""
    is_best: bool = False

    @property
    def has_validation(self) -> bool:
        return self.best_validation_auc == self.best_validation_auc

    @property
    def date(self) -> str:
        return time.strftime("%Y-%m-%d", time.localtime(self.changed))

    @property
    def state(self) -> str:
        return "finished" if self.is_finished else "unfinished"


def known_runs(metrics_dir: Path) -> list[str]:
    """Return the names of the folders that hold a run, sorted."""
    if not metrics_dir.is_dir():
        return []
    folders = [path for path in metrics_dir.iterdir() if any((path / mark).is_file() for mark in MARKS)]
    return sorted(folder.name for folder in folders)


def check_known(metrics_dir: Path, runs: list[str]) -> None:
    """Check that these runs exist.

    Raises:
        UnknownRun: some do not; the message lists those that do.
    """
    known = known_runs(metrics_dir)
    unknown = [run for run in runs if run not in known]
    if unknown:
        existing = ", ".join(known) if known else "none yet"
        folder = metrics_dir.absolute()
        raise UnknownRun(f"no run {', '.join(unknown)} in {folder}; existing runs: {existing}")


def summarize(metrics_dir: Path, models_dir: Path) -> list[Summary]:
    """Summarize every run: those on the same images together, the best by validation AUC first.

    The test AUC is never used. Groups are in the order of their names.
    """
    summaries = [
        _summary(metrics_dir, read_run(metrics_dir, models_dir, run)) for run in known_runs(metrics_dir)
    ]

    groups: dict[str, list[Summary]] = {}
    for summary in summaries:
        groups.setdefault(summary.data_digest, []).append(summary)
    ordered = []
    for digest, group in groups.items():
        group.sort(key=lambda one: (-one.best_validation_auc if one.has_validation else 1.0, one.run))
        is_known = digest != "" and len(group) > 1 and group[0].has_validation
        ordered += [replace(group[0], is_best=is_known), *group[1:]]
    return ordered


def _summary(metrics_dir: Path, files: RunFiles) -> Summary:
    folder = metrics_dir / files.run
    planned = files.settings.get("EPOCHS")
    clients = files.rounds["num_clients"].dropna()
    return Summary(
        run=files.run,
        test_auc=float(files.test.get("roc_auc", float("nan"))),
        best_validation_auc=files.best_auc,
        rounds=len(files.rounds),
        planned=planned if isinstance(planned, int) else None,
        clients=int(clients.iloc[-1]) if len(clients) else 0,
        changed=max(path.stat().st_mtime for mark in MARKS if (path := folder / mark).is_file()),
        is_finished=files.is_finished,
        is_binary=files.is_binary,
        data_digest=str(files.facts.get("data_digest") or ""),
    )


def export_table(metrics_dir: Path, models_dir: Path, summaries: Sequence[Summary]) -> pd.DataFrame:
    """Return one row per run: its summary, the row of test.csv and all settings."""
    rows = []
    for one in summaries:
        files = read_run(metrics_dir, models_dir, one.run)
        test = {f"test_{name.removeprefix('test_')}": value for name, value in files.test.items()}
        times = {name: files.facts.get(name) for name in ("started_at", "ended_at")}
        of_run = {
            "run": one.run, "state": one.state, "date": one.date, **times, "data_digest": one.data_digest,
            "rounds": one.rounds, "best_round": files.best_round, "clients": one.clients,
            "best_validation_auc": one.best_validation_auc,
        }  # fmt: skip
        rows.append(of_run | test | dict(sorted(files.settings.items())))
    return pd.DataFrame(rows)


def metrics_of_runs(runs: list[RunFiles]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the test metrics: for each its name, and every run's value and interval."""
    nothing = float("nan")
    rows = []
    for name, text in NAMES.items():
        if any(name in run.test for run in runs):
            keys = {"value": name, "low": f"{name}_low", "high": f"{name}_high"}
            rows.append(
                (text, [{key: run.test.get(of, nothing) for key, of in keys.items()} for run in runs])
            )
    return rows


def paired_differences(runs: list[RunFiles]) -> list[dict[str, float | None] | None]:
    """Return the test AUC of the first run minus that of each, with its paired 95 % interval.

    The method is that of DeLong et al. 1988 by patient; see `paired_difference`. None for the first run, and
    for a run that was tested on other images or has no scores.
    """
    first, *others = runs
    reference = first.scores.get("test")
    digest = first.facts.get("data_digest")
    differences: list[dict[str, float | None] | None] = [None]
    for run in others:
        split = run.scores.get("test")
        are_same = (
            reference is not None
            and split is not None
            and bool(digest)
            and run.facts.get("data_digest") == digest
            and np.array_equal(split.labels, reference.labels)
            and split.scores.shape == reference.scores.shape
        )
        differences.append(
            paired_difference(split.labels, reference.scores, split.scores, split.patients)
            if are_same and split is not None and reference is not None
            else None
        )
    return differences


def settings_that_differ(runs: list[RunFiles]) -> list[tuple[str, list[str]]]:
    """Return the settings that are not equal in all runs, with the value of each run."""
    names = sorted({name for run in runs for name in run.settings})
    rows = [(name, [str(run.settings.get(name, "–")) for run in runs]) for name in names]
    return [row for row in rows if len(set(row[1])) > 1]


def doubts(runs: list[RunFiles]) -> list[str]:
    """Return sentences on why the runs may not be comparable."""
    sentences = []
    digests = {run.facts.get("data_digest") or "" for run in runs}
    if len(digests) > 1 or "" in digests:  # unknown, as at sites
        sentences.append("The runs’ images differ or are not recorded: their metrics cannot be compared.")
    several = [run.run for run in runs if not run.is_binary]
    if several:
        sentences.append(CLASS_MEANS.format(runs=", ".join(several)))
    unfinished = [run.run for run in runs if not run.is_finished]
    if unfinished:
        sentences.append(f"Not tested yet: {', '.join(unfinished)}.")
    if any(paired_differences(runs)):
        sentences.append("A difference of AUCs whose interval includes 0 may be chance.")
        if len(runs) > 2:
            sentences.append("Each interval holds for one difference: of many, some exclude 0 by chance.")
    sentences.append("Do not choose a run by its test metrics: those of the chosen run would be too good.")
    return sentences
