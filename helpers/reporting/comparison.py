"""metrics/compare-<run>-<run>….html: curves and metrics of several runs beside each other."""

import hashlib
from pathlib import Path

from helpers.reporting import summaries
from helpers.reporting.curves import draw_runs
from helpers.reporting.operating_curves import draw_roc_of_runs
from helpers.reporting.page import render
from helpers.reporting.pictures import Picture, drawing
from helpers.reporting.run_files import RunFiles
from helpers.run_records.files import write_whole

LONGEST_NAME = 120


def write_comparison(metrics_dir: Path, runs: list[RunFiles]) -> Path:
    """Make the page; returns its path.

    Raises:
        RecordError: it could not be written.
    """
    with drawing():
        pictures = _pictures(runs)
    page = render(
        "compare.html",
        refresh=None,
        runs=runs,
        pictures=pictures,
        metrics=summaries.metrics_beside(runs),
        settings=summaries.settings_that_differ(runs),
        doubts=summaries.doubts(runs),
    )
    path = metrics_dir / _file_name([run.run for run in runs])
    write_whole(path, page)
    return path


def _pictures(runs: list[RunFiles]) -> list[Picture]:
    tables = {run.run: run.rounds for run in runs if len(run.rounds)}
    pictures = []
    if tables:
        pictures.append(draw_runs(tables, "roc_auc", "validation AUC"))
        pictures.append(draw_runs(tables, "val_loss", "validation loss"))
    tested = {run.run: run.scores["test"] for run in runs if "test" in run.scores}
    tested = {run: split for run, split in tested.items() if len(set(split.labels)) == 2}
    if tested:
        pictures.append(draw_roc_of_runs(tested))
    return pictures


def _file_name(names: list[str]) -> str:
    """From the runs' names, cut to what a file system takes."""
    whole = "-".join(names)
    if len(whole) > LONGEST_NAME:
        whole = f"{whole[:LONGEST_NAME]}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"
    return f"compare-{whole}.html"
