"""Table rows of report and model card, as plain values."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pandas as pd

from helpers.evaluation.metrics import confusion_of
from helpers.federated.replies import USABLE
from helpers.federated.sites.site import EACH_SITE
from helpers.privacy.meaning import meaning
from helpers.reporting.run_files import RunFiles, SplitScores

NAMES = {  # of metrics, in the order they are shown
    "roc_auc": "ROC-AUC",
    "average_precision": "average precision",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "precision": "precision",
    "recall": "sensitivity (recall)",
    "specificity": "specificity",
    "sensitivity_at_90_specificity": "sensitivity at 90 % specificity",
    "f1_score": "F1",
    "brier_score": "Brier score",
    "calibration_error": "calibration error",
}
SPLIT_SETTINGS = ("TEST_FRACTION", "VALIDATION_FRACTION", "SEED")
DIVISIONS = {
    "iid": "at random",
    "patient": "by patient",
    "site": "by site",
    "dirichlet": "with different class shares (Dirichlet, α = {DIRICHLET_ALPHA})",
    "quantity": "with sizes following a power law",
}
SPLITS = {"train": "training", "val": "validation", "test": "test"}


def confusion_rows(
    split: SplitScores, threshold: float, class_names: tuple[str, ...]
) -> list[tuple[str, list[tuple[int, float | None]]]]:
    """Return for each true class, by name, the count and share of each decision."""
    counts = confusion_of(split.labels, split.scores, threshold)
    return [
        (truth, [(count, count / sum(row) if sum(row) else None) for count in row])
        for truth, row in zip(class_names, counts.tolist(), strict=True)
    ]


@dataclass(frozen=True)
class Metric:
    """A test metric with its 95 % interval; NaN if undefined."""

    name: str
    value: float
    low: float
    high: float


def test_metrics(test: dict[str, Any]) -> list[Metric]:
    """Return the metrics in a row of test.csv or test_classes.csv."""
    missing = float("nan")
    return [
        Metric(text, test[name], test.get(f"{name}_low", missing), test.get(f"{name}_high", missing))
        for name, text in NAMES.items()
        if name in test
    ]


def class_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return name, images and metrics of each class of test_classes.csv, against the rest."""
    return [
        {"name": row["name"], "num_examples": row["num_examples"], "metrics": test_metrics(dict(row))}
        for _, row in table.iterrows()
    ]


def client_rows(files: RunFiles) -> list[dict[str, Any]]:
    """Return for each client its images, statuses and times, and its own model's AUC on validation."""
    rows = []
    for client, table in files.clients.groupby("client", sort=False):
        auc, answered = table["val_roc_auc"].dropna(), table[table["status"].isin(USABLE)]
        counts = files.partition.get(str(client)) or {}
        rows.append(
            {
                "client": files.name_of(client),
                "id": str(client),
                "workers": ", ".join(sorted(set(table["worker"]) - {""})),
                "counts": [counts.get(str(label)) for label in range(len(files.class_names))],
                "statuses": dict(Counter(table["status"]).most_common()),
                "rounds": len(table),
                "seconds": answered["seconds"].mean(),
                "transfer": answered["transfer_seconds"].mean(),
                "last_auc": auc.iloc[-1] if len(auc) else None,
                "best_auc": auc.max(),
            }
        )
    return sorted(rows, key=lambda row: (len(row["id"]), row["id"]))


def how_split(data: dict[str, Any]) -> str:
    """Describe how the images were split, which stay together, and which checks were waived."""
    if data.get("split_by") == EACH_SITE:
        return "split at each site"
    if data.get("split_by") is None:  # of an older run
        return f"images kept together by: {data.get('grouped_by') or 'not recorded'}"
    settings = data.get("settings") or {}
    drawn_by = [f"{name} {settings[name]}" for name in SPLIT_SETTINGS if name in settings]
    known = {"given": "given in manifest.csv", "repeated": "made for this training of several"}
    by = known.get(data["split_by"], f"drawn ({', '.join(drawn_by)})")
    allowed = [f"--allow-{name.replace('_', '-')}" for name in data.get("allowed") or []]
    return f"splits {by}; images kept together by: {data.get('grouped_by') or 'nothing'}" + (
        f"; prepared with {' and '.join(allowed)}" if allowed else ""
    )


def how_divided(facts: dict[str, Any], settings: dict[str, Any]) -> str:
    """Describe how the training images are divided among clients; empty for an older run."""
    if facts.get("divided_by") == "own":
        return (
            "Every client is a site and trains on its own images. No message has an image, but weights and "
            "scores are computed from images and can reveal something about them (docs/security.md)."
        )
    division = DIVISIONS.get(str(facts.get("divided_by")))
    if division is None:
        return ""
    number = facts.get("num_clients")
    clients = f"{number} clients" if number else "one client per live worker (see partition.csv)"
    division = division.format_map({"DIRICHLET_ALPHA": "?", **settings})
    return f"Training images divided among {clients} {division}."


def split_rows(data: dict[str, Any], num_classes: int) -> list[dict[str, Any]]:
    """Return the images, images of each class, and patients of every split, training first."""
    patients, counts_of = data.get("patients") or {}, data.get("counts") or {}
    rows = []
    for split in [
        *(name for name in SPLITS if name in counts_of),
        *(name for name in counts_of if name not in SPLITS),
    ]:
        counts = [int(counts_of[split].get(str(label), 0)) for label in range(num_classes)]
        rows.append(
            {
                "split": SPLITS.get(split, split),
                "total": sum(counts),
                "counts": counts,
                "patients": patients.get(split),
            }
        )
    return rows


def audit_counts(data: dict[str, Any]) -> dict[str, Any]:
    """Return the audit's counts of run.json; none of patients where these are unknown."""
    counts = dict(data.get("audit") or {})
    if counts.get("split_patients") == 0 and not data.get("patients"):
        counts["split_patients"] = "unknown"
    return counts


def round_rows(rounds: pd.DataFrame) -> tuple[list[str], list[list[float]]]:
    """Return headers and rows of the table of rounds, without columns that have no value."""
    shown = rounds.drop(columns=["roc_auc_over", "weights_sha256"]).dropna(axis="columns", how="all")
    return [name.replace("_", " ") for name in shown.columns], shown.to_numpy().tolist()


def privacy(settings: dict[str, Any], rounds: pd.DataFrame) -> str:
    """Return what the ε that a run has spent means, in a sentence; empty for a run without DP."""
    epsilon = float(rounds["epsilon"].max())
    return "" if math.isnan(epsilon) else meaning(settings, epsilon)
