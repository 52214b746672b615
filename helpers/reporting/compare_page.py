"""Curves and metrics of several runs beside each other, as a page."""

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
    """metrics/compare-<run>-<run>….html, from the runs' names, cut to what a file system takes."""
    whole = "-".join(runs)
    if len(whole) > LONGEST_NAME:
        whole = f"{whole[:LONGEST_NAME]}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"
    return metrics_dir / f"compare-{whole}.html"


def write_page(path: Path, runs: list[RunFiles], ways: Sequence[Mapping[Any, Any]] = ()) -> None:
    """Make the page.

    Args:
        path: of the file.
        runs: what is compared.
        ways: rows of compare.csv, where the runs are one budget spent several ways; see `compare_runs`.

    Raises:
        RecordError: it could not be written.
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
        ways=ways,
        pictures=pictures,
        metrics=summaries.metrics_beside(runs),
        settings=summaries.settings_that_differ(runs),
        doubts=summaries.doubts(runs),
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
