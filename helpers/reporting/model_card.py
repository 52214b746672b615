"""models/<run>/model_card.md: what the best model is, what it learnt from and what its test found.

The headings are those of Mitchell et al. 2019, "Model Cards for Model Reporting". Everything is from the
run's files alone; what they do not hold is called not recorded.
"""

import json
import math
from pathlib import Path
from typing import Any

from helpers.evaluation.tallies import MEAN
from helpers.evaluation.threshold_rule import WITHOUT_CHOICE, parse_rule
from helpers.evaluation.weighted_metrics import decide
from helpers.global_config import Config
from helpers.reporting import tables
from helpers.reporting.cautions import cautions
from helpers.reporting.markdown import render_markdown
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
    """Make the card of a tested run from its files, in place of an earlier one.

    Args:
        metrics_dir, models_dir: hold a folder for each run.
        run: its name.

    Returns:
        The path of the card.

    Raises:
        RecordError: it could not be written.
    """
    files = read_run(metrics_dir, models_dir, run)
    path = models_dir / run / NAME
    write_whole(path, render_markdown("model_card.md", **card(files)))
    return path


def card(files: RunFiles) -> dict[str, Any]:
    """What the template is filled with."""
    settings, data, test = files.settings, files.data, files.test
    digest = files.facts.get("data_digest")
    is_tested_apart = bool(files.sites and digest)
    return {
        "run": files.run,
        "test": test,
        "best_round": files.best_round,
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
        "license": data.get("license") or "not recorded: see where the images come from",
        "metrics": tables.test_metrics(test),
        "drawn": _drawn(test, at_sites=bool(files.sites) and not is_tested_apart),
        "is_of_tallies": test.get("roc_auc_over") == MEAN,
        "how_chosen": _how_chosen(files),
        "operating_points": _operating_points(files),
        "by_class": tables.class_rows(files.test_classes),
        "decisions": _decisions(files),
        "scores": _score_facts(files),
        "cautions": cautions(files),
    }


def _drawn(test: dict[str, Any], *, at_sites: bool) -> str:
    """What the bootstrap of the test's intervals drew, in words."""
    if at_sites:
        return "patients, or over images where a site does not know whom they show"
    patients = test.get("num_patients")
    is_known = patients is not None and not math.isnan(patients)
    return "patients" if is_known else "images, copies together, as patients are not known"


def _changed(settings: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value and default of every setting that is not at its default, as JSON.

    Without the names of the classes, which every run has and the card says elsewhere.
    """
    found = []
    for name in Config.model_fields:
        default = Config.describe(name).default
        if name in settings and name != "CLASS_NAMES" and (value := json.dumps(settings[name])) != default:
            found.append((name, value, default))
    return found


def _python(files: RunFiles) -> dict[str, Any]:
    environment = files.facts.get("environment") or {}
    return {"python": environment["python"]} if "python" in environment else {}


def _audit(data: dict[str, Any]) -> list[tuple[str, int]] | None:
    """What the audit counted, in words; None where there was none."""
    counts = data.get("audit")
    return [(words, counts[name]) for name, words in AUDITED.items() if name in counts] if counts else None


def _how_chosen(files: RunFiles) -> str:
    """Where the threshold comes from, in words."""
    rule = str(files.best.get("threshold_rule") or files.settings.get("THRESHOLD") or "")
    if not rule:
        return "how it was chosen is not recorded"
    if parse_rule(rule).kind == "fixed":
        return "set before the training"
    validation = files.scores.get("val")
    if validation is None:
        return f"not chosen, as there were no validation scores by which the rule {rule} could choose"
    if len(set(validation.labels)) < 2:
        return f"not chosen, as validation has images of one class alone and the rule {rule} needs both"
    return f"chosen on the validation images by the rule {rule}"


def _operating_points(files: RunFiles) -> list[dict[str, Any]]:
    """Decisions at the chosen threshold and at 0.5, as far as the scores of the test are here.

    None where there are more than two classes, and so no threshold.
    """
    split = files.scores.get("test")
    if split is None or not files.is_binary:
        return []
    points = []
    for threshold in dict.fromkeys((files.threshold, WITHOUT_CHOICE)):
        negatives, positives = tables.confusion_rows(split, threshold, files.class_names)
        (true_negatives, specificity), (false_positives, _) = negatives[1]
        (false_negatives, _), (true_positives, sensitivity) = positives[1]
        points.append(
            {
                "threshold": threshold,
                "sensitivity": sensitivity,
                "specificity": specificity,
                "found": true_positives,
                "missed": false_negatives,
                "called_so": true_negatives,
                "false_alarms": false_positives,
            }
        )
    return points


def _decisions(files: RunFiles) -> list[tuple[str, list[tuple[int, float | None]]]]:
    """Of more than two classes, truth against decision on the test images, as far as scores are here."""
    split = files.scores.get("test")
    if split is None or files.is_binary:
        return []
    return tables.confusion_rows(split, files.threshold, files.class_names)


def _score_facts(files: RunFiles) -> dict[str, Any] | None:
    """Images of each class, and what is on average said and true; None where the scores are not here.

    That is the score and the share of class 1; of more than two classes, the probability of the decided
    class and the share of right decisions.
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
