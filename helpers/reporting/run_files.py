"""The files of a run, read so that a page can be made whatever is there: missing ones are empty."""

import json
import math
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.evaluation.weighted_metrics import checked, num_classes_of
from helpers.settings.names import current_names
from helpers.settings.types import USUAL_CLASS_NAMES

WORDS = (
    "client", "worker", "site", "roc_auc_over", "status", "error", "model", "kind", "file", "other", "detail",
    "name",
)  # fmt: skip
ROUND_COLUMNS = (
    "round", "num_clients", "num_examples", "train_loss", "val_loss", "accuracy", "precision", "recall",
    "f1_score", "roc_auc", "seconds", "bytes_down", "bytes_up", "average_precision", "specificity",
    "balanced_accuracy", "brier_score", "calibration_error", "aggregation_started_at", "state_bytes",
    "num_scored", "roc_auc_over",
)  # fmt: skip
CLIENT_COLUMNS = (
    "round", "client", "worker", "status", "num_examples", "train_loss", "val_accuracy", "val_roc_auc",
    "seconds", "started_at", "transfer_seconds", "attempt", "threads", "error", "state_bytes", "val_loss",
    "val_recall", "val_specificity",
)  # fmt: skip
EACH_SITE = "each site"
"""In place of who split the images, where each site split its own."""
TEST_COLUMNS = (
    "round", "threshold", "num_examples", "num_patients", "recall", "specificity", "roc_auc", "roc_auc_low",
    "roc_auc_high",
)  # fmt: skip
CLASS_METRICS = ("precision", "recall", "f1_score", "specificity", "roc_auc", "average_precision")
CLASS_COLUMNS = ("round", "class", "name", "num_examples", *CLASS_METRICS)
PARTITION_COLUMNS = ("round", "client", "label")
AUDIT_COLUMNS = ("kind", "file", "other", "detail")


@dataclass(frozen=True, eq=False)
class SplitScores:
    """What the best model said about a split.

    Attributes:
        labels: int (N,), 0 to k - 1.
        scores: float (N,), probability of class 1; (N, k), of each class, where there are more than two.
        patients: str (N,).
    """

    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    patients: NDArray[np.str_]

    @property
    def is_binary(self) -> bool:
        return self.scores.ndim == 1

    def one_against_rest(self, label: int) -> "SplitScores":
        """One of several classes as class 1, all others as class 0."""
        return SplitScores((self.labels == label).astype(np.int64), self.scores[:, label], self.patients)


@dataclass(frozen=True, eq=False)
class RunFiles:
    """A run as its files tell it.

    Attributes:
        run: its name.
        rounds, clients: the tables, all known columns, NaN where a value is missing.
        test: the row of test.csv, NaN where a value is missing; empty before the end.
        classes, test_classes: classes.csv and test_classes.csv; empty where there are two classes.
        scores: by split.
        cases: the arrays of cases.npz; empty before the end.
        facts: run.json.
        state: `state` of models/<run>/state.json.
        best: models/<run>/best.json.
        audit: what the leakage guard listed.
        division: partition.csv, where run.json does not tell how the images are divided.
        unreadable: a sentence for each file that is there but could not be read.
    """

    run: str
    rounds: pd.DataFrame
    clients: pd.DataFrame
    test: dict[str, Any] = field(default_factory=dict)
    classes: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=CLASS_COLUMNS))
    test_classes: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=CLASS_COLUMNS))
    scores: dict[str, SplitScores] = field(default_factory=dict)
    cases: dict[str, NDArray[Any]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)
    audit: pd.DataFrame = field(default_factory=pd.DataFrame)
    division: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=PARTITION_COLUMNS))
    unreadable: list[str] = field(default_factory=list)

    @property
    def is_finished(self) -> bool:
        return bool(self.test)

    @property
    def settings(self) -> dict[str, Any]:
        return current_names(_names_and_values(self.facts.get("settings") or self.best.get("settings")))

    @property
    def class_names(self) -> tuple[str, ...]:
        """What each label means, in order of the labels; their numbers where no names are recorded."""
        num_classes = next((num_classes_of(split.scores) for split in self.scores.values()), 2)
        unnamed = USUAL_CLASS_NAMES if num_classes == 2 else tuple(map(str, range(num_classes)))
        return _recorded_names(self.facts, self.best) or unnamed

    @property
    def is_binary(self) -> bool:
        """Whether there are two classes: one score an image, a threshold, and metrics of class 1."""
        return len(self.class_names) == 2

    @property
    def data(self) -> dict[str, Any]:
        if self.state.get("sites"):
            return {"source": "each site's own images", "split_by": EACH_SITE, "counts": self._site_counts()}
        return _names_and_values(self.facts.get("data"))

    def _site_counts(self) -> dict[str, dict[str, int]]:
        """Images of each class by split, of all sites together."""
        sites = self.state["sites"]
        return {
            split: _by_label([sum(counts) for counts in zip(*(site[split] for site in sites), strict=True)])
            for split in ("train", "val", "test")
        }

    @property
    def partition(self) -> dict[str, Any]:
        """Images of each class by client; the latest division, where that follows the live workers."""
        if self.state.get("sites"):  # each with its own
            return {str(client): _by_label(site["train"]) for client, site in enumerate(self.state["sites"])}
        known = self.facts.get("partition")
        if known is not None:
            return _names_and_values(known)
        latest = self.division[self.division["round"] == self.division["round"].max()]
        counts: dict[str, dict[str, int]] = {}
        for (client, label), count in latest.groupby(["client", "label"]).size().items():
            counts.setdefault(str(client), {})[f"{label:.0f}"] = int(count)
        return dict(sorted(counts.items(), key=lambda item: (len(item[0]), item[0])))

    @property
    def sites(self) -> list[str]:
        """Name of every client, where each is a site."""
        if self.state.get("sites"):
            return [str(site["name"]) for site in self.state["sites"]]
        names = self.facts.get("sites")
        return [str(name) for name in names] if isinstance(names, list) else []

    @property
    def versions(self) -> dict[str, Any]:
        return _names_and_values(self.facts.get("versions") or self.best.get("versions"))

    @property
    def best_round(self) -> int | None:
        """The round of the tested model; before the test, the one with the highest validation AUC so far."""
        tested = self.test.get("round")
        if tested is not None and not math.isnan(tested):
            return int(tested)
        known = self.rounds.dropna(subset="roc_auc")
        return int(known["round"].iloc[int(known["roc_auc"].argmax())]) if len(known) else None

    @property
    def threshold(self) -> float:
        """Of two classes, scores at or above it count as class 1; 0.5 before one is chosen."""
        for known in (self.test.get("threshold"), self.best.get("threshold")):
            if known is not None and not math.isnan(known):
                return float(known)
        return 0.5


def read_run(metrics_dir: Path, models_dir: Path, run: str, audit_csv: Path | None = None) -> RunFiles:
    """Read whatever a run has left so far; nothing here raises because of a file."""
    unreadable: list[str] = []
    metrics, models = metrics_dir / run, models_dir / run
    test = _table(metrics / "test.csv", TEST_COLUMNS, unreadable)
    arrays = _arrays(metrics / "scores.npz", unreadable)
    facts = _json(metrics / "run.json", unreadable)
    state = _json(models / "state.json", unreadable)
    best = _json(models / "best.json", unreadable)
    return RunFiles(
        run=run,
        rounds=_table(metrics / "rounds.csv", ROUND_COLUMNS, unreadable).dropna(subset="round"),
        clients=_table(metrics / "clients.csv", CLIENT_COLUMNS, unreadable).dropna(subset="round"),
        test=dict(test.iloc[0]) if len(test) else {},
        classes=_table(metrics / "classes.csv", CLASS_COLUMNS, unreadable),
        test_classes=_table(metrics / "test_classes.csv", CLASS_COLUMNS, unreadable),
        scores=_scores(arrays, len(_recorded_names(facts, best)), unreadable),
        cases=_arrays(metrics / "cases.npz", unreadable),
        facts={"settings": state.get("settings"), "versions": state.get("versions"), **facts},
        state=state.get("state") or {},
        best=best,
        audit=_table(audit_csv, AUDIT_COLUMNS, unreadable),
        division=_table(
            None if facts.get("partition") else metrics / "partition.csv", PARTITION_COLUMNS, unreadable
        ),
        unreadable=unreadable,
    )


def _recorded_names(facts: dict[str, Any], best: dict[str, Any]) -> tuple[str, ...]:
    """What run.json or best.json says that each label means; empty where neither does."""
    for names in (facts.get("classes"), best.get("classes")):
        if isinstance(names, list) and len(names) > 1:
            return tuple(map(str, names))
    return ()


def _by_label(counts: list[int]) -> dict[str, int]:
    """As JSON has them."""
    return {str(label): count for label, count in enumerate(counts)}


def _names_and_values(content: Any) -> dict[str, Any]:
    """What a JSON file holds, if it is an object; otherwise it counts as not recorded."""
    return content if isinstance(content, dict) else {}


def _table(path: Path | None, columns: tuple[str, ...], unreadable: list[str]) -> pd.DataFrame:
    """A CSV file with at least `columns`: text where the column says words, otherwise float."""
    table = pd.DataFrame(dtype=str)
    if path is not None and path.exists():
        try:
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
        except (OSError, ValueError) as error:
            unreadable.append(f"{path.name} could not be read: {error}")
    names = [*table.columns, *(name for name in columns if name not in table.columns)]
    table = table.reindex(columns=names, fill_value="")
    for name in table.columns:
        if name not in WORDS:
            table[name] = pd.to_numeric(table[name], errors="coerce").astype(float)
    return table


def _json(path: Path, unreadable: list[str]) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        unreadable.append(f"{path.name} could not be read: {error}")
        return {}
    if not isinstance(content, dict):
        unreadable.append(f"{path.name} holds no names and values")
        return {}
    return content


def _arrays(path: Path, unreadable: list[str]) -> dict[str, NDArray[Any]]:
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        unreadable.append(f"{path.name} could not be read: {error}")
        return {}


def _scores(
    arrays: dict[str, NDArray[Any]], num_classes: int, unreadable: list[str]
) -> dict[str, SplitScores]:
    """By split, where labels and scores are there and fit each other; older runs know no patients.

    They must also be of `num_classes`; 0: of any number, both splits of the same.
    """
    found = {}
    for split in ("val", "test"):
        labels, scores = arrays.get(f"{split}_labels"), arrays.get(f"{split}_scores")
        if labels is None or scores is None or len(labels) == 0:
            continue
        files = arrays.get(f"{split}_files", np.arange(len(labels)).astype(str))
        patients = arrays.get(f"{split}_patients", files)
        try:
            labels, scores = checked(labels, scores)
        except (TypeError, ValueError) as error:
            unreadable.append(f"scores.npz could not be read: {split}: {error}")
            continue
        num_classes = num_classes or num_classes_of(scores)
        if len(patients) != len(labels) or num_classes_of(scores) != num_classes:
            unreadable.append(
                f"scores.npz: labels, scores and patients of {split} do not fit each other or the classes"
            )
            continue
        found[split] = SplitScores(labels, scores, patients.astype(str))
    return found
