"""Results of one training that was repeated: mean, spread and interval, as tables and on a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from helpers.evaluation.repeated_auc import ScoredTest, mean_auc_interval
from helpers.reporting.compare_page import write_page
from helpers.reporting.run_files import RunFiles
from helpers.reporting.tables import NAMES
from helpers.run_records.files import write_whole
from helpers.run_records.tables import TEST_COLUMNS, to_csv

VALIDATION = "best validation AUC"
SUMMARY_COLUMNS = ["metric", "mean", "sd", "low", "high", "lowest", "highest"]


@dataclass(frozen=True)
class Repeated:
    """The finished runs of a repeated training.

    Attributes:
        name: of all of them.
        files: of each run, by the name of the repetition.
        interval: a sentence on what the interval counts.
    """

    name: str
    files: Mapping[str, RunFiles]
    interval: str

    def trainings(self) -> pd.DataFrame:
        """Return one row per training: its run, best round and test."""
        rows = []
        for name, files in self.files.items():
            of_run = {"training": name, "run": files.run, "best_validation_auc": files.best_auc}
            rows.append(of_run | {column: files.test.get(column) for column in TEST_COLUMNS[1:]})
        return pd.DataFrame(rows)

    def summary(self) -> pd.DataFrame:
        """Return one row per metric with SUMMARY_COLUMNS; undefined values are None.

        `sd` is the standard deviation over the trainings. Only the AUC has an interval.
        """
        table = self.trainings()
        names = {"best_validation_auc": VALIDATION} | {
            key: text for key, text in NAMES.items() if key in table
        }
        rows = [
            {"metric": text, **_spread(table[key]), **(self._interval() if key == "roc_auc" else {})}
            for key, text in names.items()
        ]
        return pd.DataFrame(rows, columns=SUMMARY_COLUMNS).astype(object).where(lambda t: t.notna(), None)

    def _interval(self) -> dict[str, float]:
        tests = [one.scores["test"] for one in self.files.values() if "test" in one.scores]
        if len(tests) < max(2, len(self.files)):
            return {}
        scored = [ScoredTest(one.labels, one.scores, one.patients) for one in tests]
        limits = mean_auc_interval(scored)
        return dict(zip(("low", "high"), limits, strict=True)) if limits else {}


def write_repeat_page(folder: Path, repeated: Repeated) -> list[Path]:
    """Write repeat.csv, repeat_summary.csv and repeat.html to a folder; return the files.

    Raises:
        RecordError: one could not be written.
    """
    trainings, summary = folder / "repeat.csv", folder / "repeat_summary.csv"
    write_whole(trainings, to_csv(repeated.trainings()))
    write_whole(summary, to_csv(repeated.summary()))
    page = folder / "repeat.html"
    write_page(page, list(repeated.files.values()), repeated=_section(repeated))
    return [trainings, summary, page]


def _section(repeated: Repeated) -> dict[str, Any]:
    """Return what the page shows above the single trainings."""
    return {
        "name": repeated.name,
        "rows": repeated.summary().to_dict("records"),
        "interval": repeated.interval,
    }


def _spread(values: "pd.Series[Any]") -> dict[str, float]:
    numbers = values.astype(float).to_numpy()
    if np.isnan(numbers).any():
        return {}
    return {
        "mean": numbers.mean(),
        "sd": numbers.std(ddof=1) if len(numbers) > 1 else float("nan"),
        "lowest": numbers.min(),
        "highest": numbers.max(),
    }
