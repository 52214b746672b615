"""Paired comparison of the tests of several runs: ROC-AUC differences with their intervals."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from helpers.evaluation.intervals import paired_difference
from helpers.run_records.files import RecordError, write_whole
from helpers.run_records.tables import TEST_COLUMNS, read_table, to_csv

COLUMNS = [
    "model",
    "run",
    "roc_auc",
    "roc_auc_low",
    "roc_auc_high",
    "recall",
    "specificity",
    "sensitivity_at_90_specificity",
    "difference",
    "difference_low",
    "difference_high",
]


def compare_runs(metrics_dir: Path, runs: dict[str, str]) -> pd.DataFrame:
    """Compare the tests of several runs, on the same images, with that of the first run.

    Args:
        metrics_dir: folder with a folder per run.
        runs: names of the runs by their names in the table; the first is the reference.

    Returns:
        One row per run with COLUMNS. `difference` is the reference's ROC-AUC minus the run's, with its
        95 % interval by patient; empty for the reference.

    Raises:
        RecordError: a run is not finished, or was tested on other images.
    """
    scores = {name: _test_scores(metrics_dir / run) for name, run in runs.items()}
    reference, *_ = scores.values()
    rows = []
    for index, (name, run) in enumerate(runs.items()):
        if not np.array_equal(scores[name]["test_files"], reference["test_files"]):
            raise RecordError(f"run {run} was tested on other images than run {next(iter(runs.values()))}")
        test = read_table(metrics_dir / run / "test.csv", TEST_COLUMNS).iloc[0]
        row: dict[str, Any] = {"model": name, "run": run}
        row |= {column: float(test[column]) if test[column] else None for column in COLUMNS[2:8]}
        if index:
            difference = paired_difference(
                reference["test_labels"],
                reference["test_scores"],
                scores[name]["test_scores"],
                reference["test_patients"],
            )
            row |= {
                "difference": difference["difference"],
                "difference_low": difference["low"],
                "difference_high": difference["high"],
            }
        rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS, dtype=object)


def write_comparison(path: Path, table: pd.DataFrame) -> None:
    """Write the table of `compare_runs` as CSV.

    Raises:
        RecordError: the file could not be written.
    """
    write_whole(path, to_csv(table))


def _test_scores(folder: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(folder / "scores.npz", allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files if name.startswith("test_")}
    except (OSError, ValueError) as error:
        raise RecordError(f"{folder / 'scores.npz'} could not be read: {error}") from error
