"""HTML page that compares curves, metrics and settings of several runs."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from helpers.reporting import summaries
from helpers.reporting.curves import draw_runs
from helpers.reporting.operating_curves import draw_roc_of_runs
from helpers.reporting.page import render
from helpers.reporting.pictures import Picture, drawing
from helpers.reporting.run_files import RunFiles
from helpers.run_records.files import write_whole

LONGEST_NAME = 120


def page_path(metrics_dir: Path, runs: list[str]) -> Path:
    """Return metrics/compare-<run>-<run>….html, shortened to a length that file systems accept."""
    names = "-".join(runs)
    if len(names) > LONGEST_NAME:
        names = f"{names[:LONGEST_NAME]}-{hashlib.sha256(names.encode()).hexdigest()[:8]}"
    return metrics_dir / f"compare-{names}.html"


def write_page(
    path: Path,
    runs: list[RunFiles],
    budgets: Sequence[Mapping[Any, Any]] = (),
    repeated: Mapping[str, Any] | None = None,
) -> None:
    """Write the page.

    Args:
        path: of the page.
        runs: the runs to compare.
        budgets: rows of compare.csv, for runs of `--compare`; see `compare_runs`.
        repeated: mean and spread of the runs, if they repeat one training; see `repeat_page`.

    Raises:
        RecordError: the page could not be written.
    """
    with drawing():
        pictures = _pictures(runs)
    page = render(
        "compare.html",
        refresh=None,
        classes=[
            " or ".join(dict.fromkeys(filter(None, names)))
            for names in zip_longest(*(run.class_names for run in runs))
        ],
        runs=runs,
        budgets=budgets,
        repeated=repeated,
        pictures=pictures,
        metrics=summaries.metrics_of_runs(runs),
        difference=summaries.DIFFERENCE,
        differences=[] if repeated else summaries.paired_differences(runs),
        settings=summaries.settings_that_differ(runs),
        doubts=[] if repeated else summaries.doubts(runs),
    )
    write_whole(path, page)


def _pictures(runs: list[RunFiles]) -> list[Picture]:
    tables = {run.run: run.rounds for run in runs if len(run.rounds)}
    pictures = []
    if tables:
        pictures.append(draw_runs(tables, "roc_auc", "validation AUC"))
        pictures.append(draw_runs(tables, "val_loss", "validation loss"))
    tested = {run.run: run.scores["test"] for run in runs if "test" in run.scores}
    tested = {run: split for run, split in tested.items() if split.is_binary and len(set(split.labels)) == 2}
    if tested:
        pictures.append(draw_roc_of_runs(tested))
    return pictures
