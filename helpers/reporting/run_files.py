"""Files of a run, read tolerantly: missing ones are empty, unreadable ones are listed."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.evaluation.metrics import checked, num_classes_of
from helpers.evaluation.tallies import BINNED
from helpers.evaluation.threshold_rule import is_rule, parse_rule
from helpers.federated.sites.site import described
from helpers.reporting.file_readers import read_arrays, read_csv, read_json
from helpers.run_records.tables import (
    CLASS_COLUMNS,
    CLIENT_COLUMNS,
    GROUP_COLUMNS,
    PARTITION_COLUMNS,
    ROUND_COLUMNS,
    SITE_COLUMNS,
)
from helpers.settings.names import current_names
from helpers.settings.types import USUAL_CLASS_NAMES

TEST_COLUMNS = (  # those that the pages need; others of test.csv are shown if they exist
    "round", "threshold", "num_examples", "num_patients", "recall", "specificity", "roc_auc", "roc_auc_low",
    "roc_auc_high",
)  # fmt: skip
AUDIT_COLUMNS = ("kind", "file", "other", "detail")


@dataclass(frozen=True, eq=False)
class SplitScores:
    """Scores of the best model on a split.

    Attributes:
        labels: int (N,), 0 to k - 1.
        scores: float (N,), probability of class 1; with more than two classes (N, k), of each class.
        patients: str (N,).
    """

    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    patients: NDArray[np.str_]

    @property
    def is_binary(self) -> bool:
        return self.scores.ndim == 1

    def one_against_rest(self, label: int) -> "SplitScores":
        """Return scores with one of several classes as class 1 and all others as class 0."""
        return SplitScores((self.labels == label).astype(np.int64), self.scores[:, label], self.patients)


@dataclass(frozen=True, eq=False)
class RunFiles:
    """The contents of a run's files.

    Attributes:
        run: name of the run.
        rounds, clients: rounds.csv and clients.csv, with all known columns; missing values are NaN.
        test: the row of test.csv; missing values are NaN; empty before the test.
        classes, test_classes: classes.csv and test_classes.csv; empty with two classes.
        groups: groups.csv; empty without groups.
        scores: by split.
        cases: the arrays of cases.npz; empty before the test.
        facts: run.json.
        state: `state` of models/<run>/state.json.
        best: models/<run>/best.json.
        sites_table: sites.csv.
        audit: the audit's findings.
        partition_log: partition.csv, if run.json does not record the partition.
        unreadable: one sentence per file that exists but could not be read.
        names_sites: whether clients are called by the names of their sites.
    """

    run: str
    rounds: pd.DataFrame
    clients: pd.DataFrame
    test: dict[str, Any] = field(default_factory=dict)
    classes: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=CLASS_COLUMNS))
    test_classes: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=CLASS_COLUMNS))
    groups: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=GROUP_COLUMNS))
    scores: dict[str, SplitScores] = field(default_factory=dict)
    cases: dict[str, NDArray[Any]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)
    sites_table: pd.DataFrame = field(default_factory=pd.DataFrame)
    audit: pd.DataFrame = field(default_factory=pd.DataFrame)
    partition_log: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=PARTITION_COLUMNS))
    unreadable: list[str] = field(default_factory=list)
    names_sites: bool = True

    @property
    def is_finished(self) -> bool:
        return bool(self.test)

    @property
    def settings(self) -> dict[str, Any]:
        return current_names(_names_and_values(self.facts.get("settings") or self.best.get("settings")))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in order of the labels; the labels themselves if no names are recorded."""
        num_classes = next((num_classes_of(split.scores) for split in self.scores.values()), 2)
        unnamed = USUAL_CLASS_NAMES if num_classes == 2 else tuple(map(str, range(num_classes)))
        return _recorded_names(self.facts, self.best) or unnamed

    @property
    def is_binary(self) -> bool:
        """Whether there are two classes: one score per image, a threshold, and metrics of class 1."""
        return len(self.class_names) == 2

    @property
    def data(self) -> dict[str, Any]:
        if self.state.get("sites"):
            return described(self.state["sites"])
        return _names_and_values(self.facts.get("data"))

    @property
    def partition(self) -> dict[str, Any]:
        """Images of each class by client; of the last round if the partition follows the live workers."""
        if self.state.get("sites"):
            return {str(client): _by_label(site["train"]) for client, site in enumerate(self.state["sites"])}
        recorded = self.facts.get("partition")
        if recorded is not None:
            return _names_and_values(recorded)
        latest = self.partition_log[self.partition_log["round"] == self.partition_log["round"].max()]
        counts: dict[str, dict[str, int]] = {}
        for (client, label), count in latest.groupby(["client", "label"]).size().items():
            counts.setdefault(str(client), {})[f"{label:.0f}"] = int(count)
        return dict(sorted(counts.items(), key=lambda item: (len(item[0]), item[0])))

    @property
    def sites(self) -> list[str]:
        """Names of the clients, if each is a site."""
        if self.state.get("sites"):
            return [str(site["name"]) for site in self.state["sites"]]
        names = self.facts.get("sites")
        return [str(name) for name in names] if isinstance(names, list) else []

    def name_of(self, client: Any) -> str:
        """Return the site of a client, if each is a site; otherwise the client's id."""
        names, number = self.sites if self.names_sites else [], str(client)
        return names[int(number)] if number.isdecimal() and int(number) < len(names) else number

    @property
    def versions(self) -> dict[str, Any]:
        return _names_and_values(self.facts.get("versions") or self.best.get("versions"))

    @property
    def best_round(self) -> int | None:
        """The round of the tested model; before the test, of the best one so far."""
        for recorded in (self.test.get("round"), self.state.get("best_round")):
            if isinstance(recorded, int | float) and not math.isnan(recorded):
                return int(recorded)
        aucs = self.best_aucs.dropna()
        return int(self.rounds.loc[aucs.index, "round"].iloc[int(aucs.argmax())]) if len(aucs) else None

    @property
    def best_aucs(self) -> "pd.Series[float]":
        """The higher validation AUC of each round's model and the average over the rounds."""
        return self.rounds.reindex(columns=["roc_auc", "ema_roc_auc"]).max(axis="columns")

    @property
    def is_ema(self) -> bool:
        """Whether the best model is the average over the rounds up to the best one."""
        return str(self.state.get("best_weights_file")).startswith("ema-")

    @property
    def best_auc(self) -> float:
        """Validation AUC of the best model; NaN if there is none."""
        of_round = self.rounds[self.rounds["round"] == self.best_round]
        return float(of_round["ema_roc_auc" if self.is_ema else "roc_auc"].max())

    @property
    def threshold(self) -> float:
        """With two classes, scores at or above it count as class 1; 0.5 before it is chosen."""
        for threshold in (self.test.get("threshold"), self.best.get("threshold")):
            if threshold is not None and not math.isnan(threshold):
                return float(threshold)
        return 0.5

    @property
    def how_threshold_was_chosen(self) -> str:
        """How, in words that follow the threshold and a comma."""
        rule = str(self.best.get("threshold_rule") or self.settings.get("THRESHOLD") or "")
        if not is_rule(rule):
            return "how it was chosen is not recorded"
        if parse_rule(rule).kind == "fixed":
            return "set before the training"
        validation = self.scores.get("val")
        if validation is None and self.test.get("roc_auc_over") == BINNED:
            return f"chosen on the sites' counts of their validation images by the rule {rule}"
        if validation is None:
            return f"not chosen: the rule {rule} needs validation scores, and there were none"
        if len(set(validation.labels)) < 2:
            return f"not chosen: the rule {rule} needs both classes, and validation has only one"
        return f"chosen on the validation images by the rule {rule}"


def read_run(metrics_dir: Path, models_dir: Path, run: str, audit_csv: Path | None = None) -> RunFiles:
    """Read the files that a run has written so far. Damaged files do not raise."""
    unreadable: list[str] = []
    metrics, models = metrics_dir / run, models_dir / run
    test = read_csv(metrics / "test.csv", TEST_COLUMNS, unreadable)
    arrays = read_arrays(metrics / "scores.npz", unreadable)
    facts = read_json(metrics / "run.json", unreadable)
    state = read_json(models / "state.json", unreadable)
    best = read_json(models / "best.json", unreadable)
    return RunFiles(
        run=run,
        rounds=read_csv(metrics / "rounds.csv", ROUND_COLUMNS, unreadable).dropna(subset="round"),
        clients=read_csv(metrics / "clients.csv", CLIENT_COLUMNS, unreadable).dropna(subset="round"),
        test=dict(test.iloc[0]) if len(test) else {},
        classes=read_csv(metrics / "classes.csv", CLASS_COLUMNS, unreadable),
        test_classes=read_csv(metrics / "test_classes.csv", CLASS_COLUMNS, unreadable),
        groups=read_csv(metrics / "groups.csv", GROUP_COLUMNS, unreadable),
        scores=_scores(arrays, len(_recorded_names(facts, best)), unreadable),
        cases=read_arrays(metrics / "cases.npz", unreadable),
        facts={"settings": state.get("settings"), "versions": state.get("versions"), **facts},
        state=_names_and_values(state.get("state")),
        best=best,
        sites_table=read_csv(metrics / "sites.csv", SITE_COLUMNS, unreadable),
        audit=read_csv(audit_csv, AUDIT_COLUMNS, unreadable),
        partition_log=read_csv(
            None if facts.get("partition") else metrics / "partition.csv", PARTITION_COLUMNS, unreadable
        ),
        unreadable=unreadable,
    )


def _recorded_names(facts: dict[str, Any], best: dict[str, Any]) -> tuple[str, ...]:
    """Return the class names in run.json or best.json; empty if neither has them."""
    for names in (facts.get("classes"), best.get("classes")):
        if isinstance(names, list) and len(names) > 1:
            return tuple(map(str, names))
    return ()


def _by_label(counts: list[int]) -> dict[str, int]:
    """Return counts by label, as in JSON files."""
    return {str(label): count for label, count in enumerate(counts)}


def _names_and_values(content: Any) -> dict[str, Any]:
    """Return a JSON object; empty for any other content."""
    return content if isinstance(content, dict) else {}


def _scores(
    arrays: dict[str, NDArray[Any]], num_classes: int, unreadable: list[str]
) -> dict[str, SplitScores]:
    """Return the scores by split, if labels and scores fit each other; older runs lack patients.

    They must have `num_classes` classes; with 0, any number, the same in both splits.
    """
    usable = {}
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
        usable[split] = SplitScores(labels, scores, patients.astype(str))
    return usable
