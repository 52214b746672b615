"""The evaluation of a model on labeled images: its tables, its page and what is printed."""

import argparse
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from commands.labeled_images import LabeledImages, folder_of, labeled_images
from commands.predictions import CAUTION as NOTE
from commands.predictions import tabulate
from commands.scorers import Scorer, open_scorer
from commands.seen_images import differences, seen_in, training_manifest, warnings_of
from commands.trained_model import called_classes
from helpers.evaluation.groups import group_rows, merge_rare, skipped_columns
from helpers.evaluation.intervals import FEW_TEST_PATIENTS
from helpers.evaluation.tested import values_of_test
from helpers.evaluation.threshold_rule import parse_rule
from helpers.evaluation.thresholds import choose_threshold
from helpers.federated.messages import RUN_NAME
from helpers.global_config import Config
from helpers.reporting.evaluation_page import EVALUATIONS, write_evaluation_page
from helpers.reporting.file_readers import read_csv
from helpers.reporting.model_card import write_model_card
from helpers.reporting.page import number
from helpers.reporting.run_files import SplitScores
from helpers.reporting.tables import Metric, test_metrics
from helpers.run_records.files import remove, write_whole
from helpers.run_records.tables import EVALUATION_COLUMNS, GROUP_COLUMNS, to_csv, write_table
from helpers.settings.errors import UserError
from helpers.settings.outside_text import shown
from preprocessing.terminal_output import progress_bar

CHOSEN_HERE = "chosen on these images: optimistic"
CAUTION = "For research only, no diagnosis."


def evaluate_model(options: argparse.Namespace, config: Config) -> Path:
    """Evaluate a model as a command line says, write and print the results; return their folder.

    Raises:
        UserError: the model or the images cannot be used, or the results cannot be written.
    """
    console = Console(highlight=False, soft_wrap=True)
    folder_of(options.data)  # a wrong path is answered before TensorFlow is loaded
    scorer = open_scorer(options.model, config, options.pixels, options.threshold)
    name = options.name or _default_name(scorer, options, config)
    if not RUN_NAME.fullmatch(name):
        raise UserError(f"--name {name!r}: use letters, digits, `.`, `_`, `-`, at most 100")
    training = training_manifest(scorer, config)
    with (
        progress_bar() as progress,
        labeled_images(options.data, scorer.shape, scorer.class_names, options, progress) as images,
    ):
        scores = scorer.scores(images.pixels, progress)
    seen = seen_in(images.digests, training)
    notes = [
        *warnings_of(seen, scorer, training),
        *images.notes,
        *differences(images, training, scorer),
        *_doubts(images, scorer),
    ]
    folder = config.METRICS_DIR / EVALUATIONS / name
    with console.status("computing metrics and their intervals"):
        rows = _rows(scorer, options.data, images, scores, seen, is_known=training is not None)
        groups = _groups(options, scorer, images, scores)
        predictions = to_csv(_predictions(scorer, images, scores, seen))
        # evaluation.csv is the sign of a whole evaluation: it goes first and comes last.
        remove(folder / "evaluation.csv")
        write_whole(folder / "predictions.csv", predictions)
        write_table(folder / "groups.csv", GROUP_COLUMNS, groups)
        split = SplitScores(images.labels, scores, images.patients)
        facts = _facts(scorer, options.data)
        worst = write_evaluation_page(folder, name, scorer.class_names, rows, split, notes, facts)
        write_table(folder / "evaluation.csv", EVALUATION_COLUMNS, rows)
    _print(console, rows, [*notes, *([worst] if worst else [])])
    console.print(shown(f"  {folder}\n  {folder / 'report.html'}"))
    if _is_model_of_a_tested_run(scorer, config):
        console.print(shown(f"  {write_model_card(config.METRICS_DIR, config.MODELS_DIR, scorer.run)}"))
    return folder


def _is_model_of_a_tested_run(scorer: Scorer, config: Config) -> bool:
    """Return whether the model is the best one of its run and the results are here, to write its card."""
    if not scorer.run:
        return False
    metrics, best = config.METRICS_DIR / scorer.run, config.MODELS_DIR / scorer.run / "best.keras"
    has_results = (metrics / "test.csv").is_file() and (metrics / "run.json").is_file()
    return has_results and scorer.file.resolve() == best.resolve()


def _default_name(scorer: Scorer, options: argparse.Namespace, config: Config) -> str:
    """Return MODEL-on-DATA.

    Raises:
        UserError: an evaluation of another model or of other images has this name.
    """
    stem = scorer.file.stem
    model = f"{scorer.run}-{stem}" if scorer.run and stem != "best" else scorer.run or stem
    split = "" if options.split == "all" else f"-{options.split}"
    words = f"{model}-on-{folder_of(options.data).resolve().name}{split}"
    name = re.sub(r"[^A-Za-z0-9._-]", "_", words)[:100]
    file = config.METRICS_DIR / EVALUATIONS / name / "evaluation.csv"
    earlier = read_csv(file, EVALUATION_COLUMNS, [])[["model_digest", "data"]].to_numpy().tolist()
    if any(row != [scorer.digest, str(options.data)] for row in earlier):
        raise UserError(
            f"{file.parent}: evaluates another model or images of another path; choose a name with --name, "
            f"or replace it with --name {name}"
        )
    return name


def _rows(
    scorer: Scorer,
    data: Path,
    images: LabeledImages,
    scores: NDArray[np.float64],
    seen: list[str],
    *,
    is_known: bool,
) -> list[dict[str, Any]]:
    """Return the rows of evaluation.csv: at the model's threshold and, of two classes, at one chosen here."""
    facts = {
        "num_examples": len(images.labels),
        "num_patients": len(set(images.patients)) if images.has_patients else None,
        "num_trained_on": Counter(seen)["train"] if is_known else None,
        "run": scorer.run,
        "model": str(scorer.file),
        "model_digest": scorer.digest,
        "data": str(data),
        "num_of_own_run": len(seen) - Counter(seen)[""] if is_known else None,
    }
    thresholds: list[tuple[str, float | None]] = [("stored", None)]
    if len(scorer.class_names) == 2:
        rule = scorer.facts.get("threshold_rule", "youden")
        rule = "youden" if parse_rule(rule).kind == "fixed" else rule
        chosen = choose_threshold(images.labels, scores, rule)
        thresholds = [(scorer.threshold_is, scorer.threshold), (f"{CHOSEN_HERE} ({rule})", chosen)]
    return [
        {
            "threshold_is": kind,
            "threshold": threshold,
            **facts,
            **values_of_test(
                images.labels, scores, images.patients, scorer.threshold if threshold is None else threshold
            ),
        }
        for kind, threshold in thresholds
    ]


def _groups(
    options: argparse.Namespace, scorer: Scorer, images: LabeledImages, scores: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """Return the rows of groups.csv.

    Raises:
        UserError: --group-by names a column that does not exist.
    """
    wanted = options.group_by or list(images.columns)
    if unknown := [name for name in wanted if name not in images.columns]:
        known = ", ".join(images.columns) or "none but file, label, patient and split"
        raise UserError(f"--group-by {unknown[0]}: no such column of manifest.csv; it has {known}")
    columns = {name: merge_rare(images.columns[name], options.merge_below) for name in wanted}
    skipped = skipped_columns(columns, images.labels.tolist())
    kept = {name: values for name, values in columns.items() if name not in skipped}
    rows = group_rows(
        kept, images.labels, scores, images.patients, scorer.threshold, has_patients=images.has_patients
    )
    return [
        *({"column": name, "note": reason} for name, reason in skipped.items()),
        *({"split": "test", **row} for row in rows),
    ]


def _predictions(
    scorer: Scorer, images: LabeledImages, scores: NDArray[np.float64], seen: list[str]
) -> pd.DataFrame:
    columns = scores[:, None] if scores.ndim == 1 else scores
    labels = called_classes(scorer.class_names)
    table = tabulate([Path(file) for file in images.files], columns, scorer.threshold, labels)
    by_class = {} if scores.ndim == 1 else dict(zip(scorer.class_names, scores.T, strict=True))
    return table.assign(
        true=[labels[label] for label in images.labels],
        patient=images.patients if images.has_patients else "",
        seen_in=seen,
        threshold=scorer.threshold if scores.ndim == 1 else None,
        note=NOTE,
        **{f"probability_{name}": values for name, values in by_class.items()},
    )


def _doubts(images: LabeledImages, scorer: Scorer) -> list[str]:
    """Return sentences on why the numbers may mislead."""
    doubts = []
    present = set(images.labels.tolist())
    if absent := [name for label, name in enumerate(scorer.class_names) if label not in present]:
        doubts.append(f"No image is {' or '.join(absent)}: metrics that need all classes are not defined.")
    if not images.has_patients:
        doubts.append(
            "Patients are unknown: several images of one patient make the intervals too narrow. Name them in "
            "the column patient of manifest.csv."
        )
    elif (patients := len(set(images.patients))) < FEW_TEST_PATIENTS:
        doubts.append(f"{patients} patients: with fewer than {FEW_TEST_PATIENTS} a test says little.")
    return doubts


def _facts(scorer: Scorer, data: Path) -> list[tuple[str, str]]:
    height, width, channels = scorer.shape
    return [
        ("model", str(scorer.file)),
        ("sha256 of the model", scorer.digest),
        ("run", scorer.run or "not a run of this project, or not recorded"),
        ("images", str(data)),
        ("size", f"{height}x{width} pixels, {'RGB' if channels > 1 else 'gray'}"),
        ("range of pixels", scorer.pixels),
        *([("threshold", f"{scorer.threshold:g}, {scorer.origin}")] if len(scorer.class_names) == 2 else []),
    ]


def _print(console: Console, rows: list[dict[str, Any]], notes: list[str]) -> None:
    """Print notes, and the metrics with their intervals at each threshold."""
    for note in notes:
        console.print(shown(note, "bold red" if note.startswith("WARNING") else "bold"))
    first = rows[0]
    patients = "" if first["num_patients"] is None else f" of {first['num_patients']} patients"
    console.print(shown(f"{first['num_examples']} images{patients}"))
    table = Table(box=None, pad_edge=False)
    table.add_column("metric, 95 % interval")
    for row in rows:
        head = "value" if row["threshold"] is None else f"threshold {row['threshold']:.3f}"
        table.add_column(shown(head if row is first else f"{head}, chosen here"), justify="right")
    for metrics in zip(*(test_metrics(row) for row in rows), strict=True):
        cells = [number(metric.value) + _interval(metric) for metric in metrics]
        table.add_row(metrics[0].name, *cells)
    console.print(table)
    if len(rows) > 1:
        console.print("The threshold chosen here fits these images: its column is optimistic.")
    console.print(CAUTION)


def _interval(metric: Metric) -> str:
    return "" if metric.low is None else f" [{number(metric.low)}, {number(metric.high)}]"
