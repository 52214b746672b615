"""All runs at a glance, and several beside each other."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.reporting.run_files import RunFiles, read_run
from helpers.reporting.tables import NAMES
from helpers.settings.errors import UserError

MARKS = ("rounds.csv", "test.csv", "run.json")
"""Files of which a run has at least one."""
OF_MEANS = (
    "Precision, recall, F1, specificity and AUC of {runs} are means over the classes, "
    "each one against the rest."
)


class UnknownRun(UserError):
    """No run of that name is there."""


@dataclass(frozen=True)
class Summary:
    """A run in one row.

    Attributes:
        run: its name.
        test_auc, best_validation_auc: NaN where there is none yet.
        rounds, planned: done, and how many were asked for (None where not recorded).
        clients: of the last round.
        changed: when its files last changed, seconds since the epoch.
        is_finished: it was tested.
        is_binary: of two classes; of more, an AUC is the mean over them.
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

    @property
    def when(self) -> str:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(self.changed))

    @property
    def state(self) -> str:
        return "finished" if self.is_finished else "unfinished"


def known_runs(metrics_dir: Path) -> list[str]:
    """Names of the folders that hold a run, sorted."""
    if not metrics_dir.is_dir():
        return []
    folders = [path for path in metrics_dir.iterdir() if any((path / mark).is_file() for mark in MARKS)]
    return sorted(folder.name for folder in folders)


def check_known(metrics_dir: Path, runs: list[str]) -> None:
    """Refuse names of which there is no run.

    Raises:
        UnknownRun: says which, and which there are.
    """
    known = known_runs(metrics_dir)
    unknown = [run for run in runs if run not in known]
    if unknown:
        there = ", ".join(known) if known else "none yet"
        raise UnknownRun(f"no run {', '.join(unknown)} in {metrics_dir}; there are: {there}")


def summarize(metrics_dir: Path, models_dir: Path) -> list[Summary]:
    """Every run, best first: by test AUC, then those without a test by validation AUC."""
    summaries = [
        _summary(metrics_dir, read_run(metrics_dir, models_dir, run)) for run in known_runs(metrics_dir)
    ]

    def rank(summary: Summary) -> tuple[float, ...]:
        aucs = (summary.test_auc, summary.best_validation_auc)
        return tuple(-auc if auc == auc else 1.0 for auc in aucs)

    return sorted(summaries, key=lambda summary: (rank(summary), summary.run))


def _summary(metrics_dir: Path, files: RunFiles) -> Summary:
    folder = metrics_dir / files.run
    planned = files.settings.get("EPOCHS")
    clients = files.rounds["num_clients"].dropna()
    return Summary(
        run=files.run,
        test_auc=float(files.test.get("roc_auc", float("nan"))),
        best_validation_auc=float(files.rounds["roc_auc"].max()),
        rounds=len(files.rounds),
        planned=planned if isinstance(planned, int) else None,
        clients=int(clients.iloc[-1]) if len(clients) else 0,
        changed=max(path.stat().st_mtime for mark in MARKS if (path := folder / mark).is_file()),
        is_finished=files.is_finished,
        is_binary=files.is_binary,
    )


def metrics_beside(runs: list[RunFiles]) -> list[tuple[str, list[dict[str, Any]]]]:
    """For each metric any run was tested on: its name, and value and interval of every run."""
    nothing = float("nan")
    rows = []
    for name, text in NAMES.items():
        if any(name in run.test for run in runs):
            keys = {"value": name, "low": f"{name}_low", "high": f"{name}_high"}
            rows.append(
                (text, [{key: run.test.get(of, nothing) for key, of in keys.items()} for run in runs])
            )
    return rows


def settings_that_differ(runs: list[RunFiles]) -> list[tuple[str, list[str]]]:
    """Settings that are not the same in all runs, with what each run has."""
    names = sorted({name for run in runs for name in run.settings})
    rows = [(name, [str(run.settings.get(name, "–")) for run in runs]) for name in names]
    return [row for row in rows if len(set(row[1])) > 1]


def doubts(runs: list[RunFiles]) -> list[str]:
    """Why the runs may not be comparable, in words."""
    sentences = []
    if len({run.facts.get("data_digest") for run in runs}) > 1:
        sentences.append("The runs’ images differ, or are not recorded: their numbers cannot be compared.")
    several = [run.run for run in runs if not run.is_binary]
    if several:
        sentences.append(OF_MEANS.format(runs=", ".join(several)))
    unfinished = [run.run for run in runs if not run.is_finished]
    if unfinished:
        sentences.append(f"Not tested yet: {', '.join(unfinished)}.")
    sentences.append("Choosing the best of several runs by their test values makes the test flatter it.")
    return sentences
