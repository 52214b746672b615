"""Page of an evaluation, and the evaluations of a run's model as its model card lists them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.reporting import sections, tables
from helpers.reporting.file_readers import read_csv
from helpers.reporting.page import render
from helpers.reporting.pictures import drawing
from helpers.reporting.run_files import RunFiles, SplitScores
from helpers.run_records.files import write_whole
from helpers.run_records.tables import CLIENT_COLUMNS, EVALUATION_COLUMNS, GROUP_COLUMNS, ROUND_COLUMNS

EVALUATIONS = "evaluations"
"""The folder of evaluations in METRICS_DIR."""


def write_evaluation_page(
    folder: Path,
    name: str,
    class_names: tuple[str, ...],
    rows: Sequence[dict[str, Any]],
    split: SplitScores,
    notes: Sequence[str],
    facts: Sequence[tuple[str, str]],
) -> str:
    """Write report.html of an evaluation; return the sentence on the worst group, if there are groups.

    Args:
        folder: of the evaluation, with groups.csv.
        name: of the evaluation.
        class_names: in order of the labels.
        rows: of evaluation.csv.
        split: labels, scores and patients of the images.
        notes: sentences on why the numbers may mislead.
        facts: what was evaluated, by name.

    Raises:
        RecordError: the page could not be written.
    """
    unreadable: list[str] = []
    files = RunFiles(
        run=name,
        rounds=pd.DataFrame(columns=ROUND_COLUMNS),
        clients=pd.DataFrame(columns=CLIENT_COLUMNS),
        test={key: float("nan") if value is None else value for key, value in rows[0].items()},
        groups=read_csv(folder / "groups.csv", GROUP_COLUMNS, unreadable),
        scores={"test": split},
        facts={"classes": list(class_names), "data": {"patients": rows[0]["num_patients"]}},
    )
    with drawing():
        built = sections.some_sections(files, ("decisions", "groups"))
    metrics = [(row["threshold_is"], row["threshold"], tables.test_metrics(row)) for row in rows]
    page = render(
        "evaluation.html",
        name=name, refresh=None, classes=class_names, is_binary=files.is_binary, row=rows[0],
        metrics=metrics, notes=[*notes, *unreadable], facts=facts, **built,
    )  # fmt: skip
    write_whole(folder / "report.html", page)
    return next((part["worst"] for part in built["groups"].get("parts", ())), "")


def evaluations_of(metrics_dir: Path, run: str, model: Path) -> list[dict[Any, Any]]:
    """Return the rows of the evaluations of a run's model at its own threshold, with their names.

    Those of an earlier model of the same name do not count.
    """
    paths = sorted((metrics_dir / EVALUATIONS).glob("*/evaluation.csv"))
    if not paths or not model.is_file():
        return []
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    rows: list[dict[Any, Any]] = []
    for path in paths:
        table = read_csv(path, EVALUATION_COLUMNS, [])
        own = table[(table["run"] == run) & (table["model_digest"] == digest)]
        rows += [{**row, "name": path.parent.name} for row in own.to_dict("records")[:1]]
    return rows
