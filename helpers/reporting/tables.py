"""The tables of a page, as rows of plain values."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from helpers.evaluation.metrics import confusion_of
from helpers.reporting.run_files import EACH_SITE, RunFiles, SplitScores

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
    "iid": "by lot",
    "patient": "by patient",
    "site": "by site",
    "dirichlet": "with unlike shares of the classes (Dirichlet, α = {DIRICHLET_ALPHA})",
    "quantity": "with sizes that follow a power law",
}
SPLITS = {"train": "training", "val": "validation", "test": "test"}


def confusion_rows(
    split: SplitScores, threshold: float, class_names: tuple[str, ...]
) -> list[tuple[str, list[tuple[int, float | None]]]]:
    """Truth by name, then for each decision its count and its share of that truth."""
    counts = confusion_of(split.labels, split.scores, threshold)
    return [
        (truth, [(count, count / sum(row) if sum(row) else None) for count in row])
        for truth, row in zip(class_names, counts.tolist(), strict=True)
    ]


@dataclass(frozen=True)
class Metric:
    """A test metric with its 95 % interval, where known."""

    name: str
    value: float
    low: float
    high: float


def test_metrics(test: dict[str, Any]) -> list[Metric]:
    """Every metric that test.csv, or a row of test_classes.csv, has a column for."""
    missing = float("nan")
    return [
        Metric(text, test[name], test.get(f"{name}_low", missing), test.get(f"{name}_high", missing))
        for name, text in NAMES.items()
        if name in test
    ]


def class_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """For each class of test_classes.csv: its name, images and metrics, each one against the rest."""
    return [
        {"name": row["name"], "num_examples": row["num_examples"], "metrics": test_metrics(dict(row))}
        for _, row in table.iterrows()
    ]


def client_rows(files: RunFiles) -> list[dict[str, Any]]:
    """For each client: its images, how its rounds went, and its own model on validation."""
    rows = []
    for client, table in files.clients.groupby("client", sort=False):
        auc = table["val_roc_auc"].dropna()
        counts = files.partition.get(str(client)) or {}
        rows.append(
            {
                "client": client,
                "workers": ", ".join(sorted(set(table["worker"]) - {""})),
                "counts": [counts.get(str(label)) for label in range(len(files.class_names))],
                "statuses": dict(table["status"].value_counts()),
                "rounds": len(table),
                "seconds": table["seconds"].mean(),
                "transfer": table["transfer_seconds"].mean(),
                "last_auc": auc.iloc[-1] if len(auc) else None,
                "best_auc": auc.max(),
            }
        )
    return sorted(rows, key=lambda row: (len(str(row["client"])), str(row["client"])))


def how_split(data: dict[str, Any]) -> str:
    """By whom the images were split, what keeps them together, and what was permitted, in words."""
    if data.get("split_by") == EACH_SITE:
        return "split at each site"
    if data.get("split_by") is None:  # of an older run
        return f"kept together in a split by: {data.get('grouped_by') or 'not recorded'}"
    settings = data.get("settings") or {}
    drawn_by = [f"{name} {settings[name]}" for name in SPLIT_SETTINGS if name in settings]
    by = "given in manifest.csv" if data["split_by"] == "given" else f"drawn ({', '.join(drawn_by)})"
    allowed = [f"--allow-{name.replace('_', '-')}" for name in data.get("allowed") or []]
    return f"splits {by}; kept together in a split by: {data.get('grouped_by') or 'nothing'}" + (
        f"; prepared with {' and '.join(allowed)}" if allowed else ""
    )


def how_divided(facts: dict[str, Any], settings: dict[str, Any]) -> str:
    """How the training images are divided among clients, in words; empty for an older run."""
    if facts.get("divided_by") == "own":
        return "Every client is a site and trains on its own images, which never leave it."
    how = DIVISIONS.get(str(facts.get("divided_by")))
    if how is None:
        return ""
    number = facts.get("num_clients")
    clients = f"{number} clients" if number else "as many clients as live workers, see partition.csv"
    return f"Training images divided among {clients} {how.format_map({'DIRICHLET_ALPHA': '?', **settings})}."


def split_rows(data: dict[str, Any], num_classes: int) -> list[dict[str, Any]]:
    """Images, those of each class, and patients of every split, training first."""
    patients, known = data.get("patients") or {}, data.get("counts") or {}
    rows = []
    for split in [
        *(name for name in SPLITS if name in known),
        *(name for name in known if name not in SPLITS),
    ]:
        counts = [int(known[split].get(str(label), 0)) for label in range(num_classes)]
        rows.append(
            {
                "split": SPLITS.get(split, split),
                "total": sum(counts),
                "counts": counts,
                "patients": patients.get(split),
            }
        )
    return rows


def round_rows(rounds: pd.DataFrame) -> tuple[list[str], list[list[float]]]:
    """Headers and rows of the table of rounds: columns without any value are left out."""
    shown = rounds.drop(columns="roc_auc_over").dropna(axis="columns", how="all")
    return [name.replace("_", " ") for name in shown.columns], shown.to_numpy().tolist()
