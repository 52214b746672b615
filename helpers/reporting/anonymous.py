"""Anonymous copy of a run's results: report and CSV files without file names, patients, sites and pictures.

Only what is listed here is copied, so a file, column or setting that is new is left out until it is listed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from helpers.architectures import ARCHITECTURES
from helpers.evaluation.tallies import BINNED, MEAN, POOLED
from helpers.federated.sites.site import EACH_SITE
from helpers.federated.strategies import STRATEGIES
from helpers.global_config import Config
from helpers.reporting.file_readers import TEXT_COLUMNS
from helpers.reporting.report import report_page
from helpers.reporting.run_files import RunFiles, SplitScores, read_run
from helpers.reporting.tables import DIVISIONS
from helpers.run_records.files import write_whole
from helpers.run_records.tables import (
    CLASS_COLUMNS,
    CLIENT_COLUMNS,
    ROUND_COLUMNS,
    SITE_COLUMNS,
    SITE_MODELS,
    TEST_CLASS_COLUMNS,
    TEST_COLUMNS,
    read_table,
    to_csv,
)
from helpers.settings.errors import UserError

COLUMNS: Mapping[str, list[str]] = {
    "rounds.csv": ROUND_COLUMNS,
    "clients.csv": CLIENT_COLUMNS,
    "classes.csv": CLASS_COLUMNS,
    "test.csv": TEST_COLUMNS,
    "test_classes.csv": TEST_CLASS_COLUMNS,
    "sites.csv": SITE_COLUMNS,
}
"""The copied tables and their columns. Columns with text are in TEXTS too, or have only numbers."""
TEXTS = {
    "status": {"ok", "partial", "failed", "missing"},
    "model": {"best", *SITE_MODELS},
    "roc_auc_over": {POOLED, BINNED, MEAN},
}
"""The values of columns of text. Any other text is left out: names of workers and sites, errors."""
OUTSIDE = ("worker", "site", "error")
"""The columns of text that people outside of this project wrote. They are always empty, even for a number."""
DIGEST = r"[0-9a-f]{64}"
DATA_FACTS = ("split_by", "grouped_by", "counts", "patients", "audit")
COUNTED = (
    *("train", "val", "test", "exact_duplicates", "near_duplicates", "label_conflicts"),
    *("split_patients", "split_copies"),
)
DIVISION_WORDS = (EACH_SITE, *DIVISIONS, "own", "given", "drawn", "copy", "patient and copy")


def write_anonymous(metrics_dir: Path, models_dir: Path, run: str, folder: Path) -> list[Path]:
    """Write an anonymous report and tables of a run to a folder; return the files.

    Args:
        metrics_dir, models_dir: folders with a folder per run.
        run: name of the run; the report has the name of `folder` in its place.
        folder: receives the files; new or empty, so that nothing else is in it.

    Raises:
        RecordError: a file cannot be read or written.
        UserError: the folder has files.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: exists and is not an empty folder; name a new one for the anonymous copy")
    files = read_run(metrics_dir, models_dir, run)
    written = []
    for name, columns in COLUMNS.items():
        table = read_table(metrics_dir / run / name, [])
        if len(table):
            write_whole(folder / name, to_csv(anonymous_table(table, columns, files.class_names)))
            written.append(folder / name)
    write_whole(folder / "report.html", report_page(anonymous_files(files, folder.resolve().name)))
    return [*written, folder / "report.html"]


def anonymous_table(table: pd.DataFrame, columns: list[str], class_names: tuple[str, ...]) -> pd.DataFrame:
    """Return the known columns of a table; a cell is empty unless it is a number, digest or known word."""
    kept = {}
    for column in (name for name in columns if name in table.columns):
        values = table[column]
        if column in OUTSIDE:
            is_known = pd.Series(False, index=values.index)
        elif column == "name":
            is_known = values.isin(class_names)
        elif column == "weights_sha256":
            is_known = values.astype(str).str.fullmatch(DIGEST)
        elif column in TEXTS:
            is_known = values.isin(TEXTS[column])
        else:
            is_known = pd.to_numeric(values, errors="coerce").notna()
        known = values.where(is_known)
        kept[column] = known.fillna("") if column in TEXT_COLUMNS else known
    return pd.DataFrame(kept)


def anonymous_files(files: RunFiles, name: str) -> RunFiles:
    """Return what the report may show. Anything that is not named here keeps its empty default."""
    classes = files.class_names
    tables = {
        "rounds": (files.rounds, ROUND_COLUMNS),
        "clients": (files.clients, CLIENT_COLUMNS),
        "classes": (files.classes, CLASS_COLUMNS),
        "test_classes": (files.test_classes, TEST_CLASS_COLUMNS),
    }
    made: dict[str, Any] = {
        attribute: anonymous_table(table, columns, classes) for attribute, (table, columns) in tables.items()
    }
    return RunFiles(
        run=name,
        test={key: value for key, value in files.test.items() if key in TEST_COLUMNS and _is_number(value)},
        scores={split: _numbered(scores) for split, scores in files.scores.items()},
        facts=_facts(files),
        state={"best_round": files.best_round, "best_weights_file": "ema-" if files.is_ema else ""},
        best={"threshold": files.threshold, "test_roc_auc_of_last": files.best.get("test_roc_auc_of_last")},
        names_sites=False,
        **made,
    )


def anonymous_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings whose values are numbers or words of this project; others may name things."""
    kept = {}
    for name in Config.run_setting_names() & settings.keys():
        field, value = Config.model_fields[name], settings[name]
        words = {field.default, *get_args(field.annotation), *ARCHITECTURES, *STRATEGIES}
        values = value if isinstance(value, list) else [value]
        if all(_is_number(one) or (isinstance(one, str) and one in words) for one in values):
            kept[name] = value
    return kept


def _facts(files: RunFiles) -> dict[str, Any]:
    """Return the part of run.json that names nobody."""
    data = {name: _counts(files.data.get(name)) for name in DATA_FACTS}
    numbers = {name: files.facts.get(name) for name in ("num_clients", "divided_by")}
    digest = str(files.facts.get("data_digest"))
    known = ("code", "tensorflow", "keras", "numpy", "albumentations", "opencv", "scikit-learn")
    return {
        **{name: value for name, value in numbers.items() if _is_number(value) or value in DIVISION_WORDS},
        "settings": anonymous_settings(files.settings),
        "classes": list(files.class_names),
        "data": data,
        "data_digest": digest if len(digest) == 64 and digest.isalnum() else None,
        "partition": _counts(files.partition),
        "versions": {name: files.versions[name] for name in known if name in files.versions},
    }


def _counts(value: Any) -> Any:
    """Return numbers, known words and tables of them; None for anything else."""
    if isinstance(value, dict):
        return {name: _counts(of) for name, of in value.items() if name.isdecimal() or name in COUNTED}
    return value if _is_number(value) or value in DIVISION_WORDS else None


def _numbered(scores: SplitScores) -> SplitScores:
    """Return scores with numbers in place of the patients."""
    _, patients = np.unique(scores.patients, return_inverse=True)
    return SplitScores(scores.labels, scores.scores, patients.astype(str))


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float | np.number)
