"""Model card of the best model: models/<run>/model_card.md, made from the run's files alone.

The headings are those of Mitchell et al. 2019, "Model Cards for Model Reporting". Facts that the files do
not contain are stated as not recorded.
"""

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from helpers.evaluation.metrics import decide
from helpers.evaluation.operating_points import OperatingPoint, operating_points
from helpers.evaluation.tallies import BINNED, MEAN
from helpers.evaluation.threshold_rule import WITHOUT_CHOICE
from helpers.global_config import Config
from helpers.reporting import tables
from helpers.reporting.cautions import cautions
from helpers.reporting.evaluation_page import EVALUATIONS, evaluations_of
from helpers.reporting.groups import describe_worst
from helpers.reporting.page import render_markdown
from helpers.reporting.run_files import RunFiles, read_run
from helpers.run_records.files import write_whole

NAME = "model_card.md"
AUDITED = {
    "exact_duplicates": "exact copies",
    "near_duplicates": "near copies",
    "label_conflicts": "images in two classes",
    "split_copies": "copies in another split than the original",
    "split_patients": "patients in more than one split",
}


def write_model_card(metrics_dir: Path, models_dir: Path, run: str) -> Path:
    """Write the card of a tested run; an earlier one is replaced.

    Args:
        metrics_dir, models_dir: folders with a folder per run.
        run: name of the run.

    Returns:
        The path of the card.

    Raises:
        RecordError: the card could not be written.
    """
    files = read_run(metrics_dir, models_dir, run)
    path = models_dir / run / NAME
    evaluations = evaluations_of(metrics_dir, run, path.with_name("best.keras"))
    folder = quote(Path(os.path.relpath(metrics_dir / EVALUATIONS, path.parent)).as_posix())
    values = card(files) | {"evaluations": evaluations, "evaluations_folder": folder}
    write_whole(path, render_markdown("model_card.md", **values))
    return path


def card(files: RunFiles) -> dict[str, Any]:
    """Return the values of the template."""
    settings, data, test = files.settings, files.data, files.test
    digest = files.facts.get("data_digest")
    is_tested_apart = bool(files.sites and digest)
    return {
        "run": files.run,
        "trained_at": files.facts.get("started_at"),
        "test": test,
        "best_round": files.best_round,
        "is_ema": files.is_ema,
        "is_smoothed": settings.get("CHOICE") == "smoothed",
        "rounds": len(files.rounds),
        "best_rows": files.rounds[files.rounds["round"] == files.best_round].to_dict("records"),
        "validation_auc": files.best.get("value"),
        "classes": files.class_names,
        "is_binary": files.is_binary,
        "settings": settings,
        "changed": _changed(settings),
        "network": settings.get("ARCHITECTURE", "seed_cnn"),
        "channels": settings.get("INPUT_DIM", 3),
        "versions": {**files.versions, **_python(files)},
        "digest": digest[:16] if digest else "not recorded" if digest is None else "at the sites",
        "data": data,
        "sites": len(files.sites),
        "is_tested_apart": is_tested_apart,
        "splits": [
            row
            for row in tables.split_rows(data, len(files.class_names))
            if not (is_tested_apart and row["split"] == "test")
        ],
        "how_split": tables.how_split(data) if data else "not recorded",
        "how_divided": tables.how_divided(files.facts, settings),
        "audit": _audit(data),
        "left_out": len(data.get("left_out") or []),
        # Runs of version 0.1.0 recorded `licence`.
        "license": data.get("license") or data.get("licence") or "not recorded; see the source of the images",
        "metrics": tables.test_metrics(test),
        "drawn": _drawn(
            test, at_sites=bool(files.sites) and not is_tested_apart and not data.get("patients")
        ),
        "is_of_tallies": test.get("roc_auc_over") in (BINNED, MEAN),
        "how_chosen": files.how_threshold_was_chosen,
        "operating_points": _operating_points(files),
        "groups": (groups := _groups(files)),
        "worst_group": describe_worst(groups) if groups else "",
        "by_class": tables.class_rows(files.test_classes),
        "decisions": _decisions(files),
        "scores": _score_facts(files),
        "privacy": tables.privacy(settings, files.rounds),
        "cautions": cautions(replace(files, names_sites=False)),
    }


def _drawn(test: dict[str, Any], *, at_sites: bool) -> str:
    """Describe the unit of the test's intervals."""
    if at_sites:
        return "patients, or images at sites where patients are unknown"
    patients = test.get("num_patients")
    is_known = patients is not None and not math.isnan(patients)
    return "patients" if is_known else "images (copies together), as patients are unknown"


def _changed(settings: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, value and default, as JSON, of every setting that is not at its default.

    CLASS_NAMES is omitted, because the card lists the classes elsewhere.
    """
    changed = []
    for name in Config.model_fields:
        default = Config.describe(name).default
        if name in settings and name != "CLASS_NAMES" and (value := json.dumps(settings[name])) != default:
            changed.append((name, value, default))
    return changed


def _python(files: RunFiles) -> dict[str, Any]:
    environment = files.facts.get("environment") or {}
    return {"python": environment["python"]} if "python" in environment else {}


def _audit(data: dict[str, Any]) -> list[tuple[str, Any]] | None:
    """Return the counts of the audit with their descriptions; None if there was no audit."""
    counts = tables.audit_counts(data)
    return [(words, counts[name]) for name, words in AUDITED.items() if name in counts] if counts else None


def _operating_points(files: RunFiles) -> list[OperatingPoint]:
    """Return the decisions at the chosen threshold and at 0.5, from the scores of the test.

    Empty without scores, or with more than two classes, which have no threshold.
    """
    split = files.scores.get("test")
    if split is None or not files.is_binary:
        return []
    others = [(WITHOUT_CHOICE, "")] if files.threshold != WITHOUT_CHOICE else []
    return operating_points(split.labels, split.scores, files.threshold, others)


def _groups(files: RunFiles) -> list[dict[Any, Any]]:
    """Return the rows of groups.csv on the test, that of all images first; empty without groups."""
    rows = files.groups[files.groups["split"] == "test"].to_dict("records")
    return rows if len(rows) > 1 else []


def _decisions(files: RunFiles) -> list[tuple[str, list[tuple[int, float | None]]]]:
    """Return truth against decision on the test images, with more than two classes and known scores."""
    split = files.scores.get("test")
    if split is None or files.is_binary:
        return []
    return tables.confusion_rows(split, files.threshold, files.class_names)


def _score_facts(files: RunFiles) -> dict[str, Any] | None:
    """Return the images of each class and, for calibration, mean score and share; None without scores.

    They are the score and the share of class 1; with more than two classes, the probability of the decided
    class and the share of correct decisions.
    """
    split = files.scores.get("test")
    if split is None:
        return None
    if files.is_binary:
        scores, outcomes = split.scores, split.labels == 1
    else:
        scores, outcomes = split.scores.max(axis=1), split.labels == decide(split.scores, files.threshold)
    return {
        "counts": [int((split.labels == label).sum()) for label in range(len(files.class_names))],
        "mean": float(scores.mean()),
        "share": float(outcomes.mean()),
    }
