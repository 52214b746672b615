"""CSV files of a run: columns, reading and writing."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.evaluation.metrics import CLASS_METRIC_NAMES, METRIC_NAMES, SENSITIVITY, Evaluation, Metrics
from helpers.federated.replies import USABLE, ClientReply
from helpers.run_records.files import RecordError, write_whole
from helpers.settings.outside_text import ESCAPES, cell, from_cell

BASIC_METRICS = list(METRIC_NAMES[:6])
MORE_METRICS = list(METRIC_NAMES[6:])
WITH_INTERVALS = [*BASIC_METRICS[1:], *MORE_METRICS, SENSITIVITY]
ROUND_COLUMNS = [
    "round",
    "num_clients",
    "num_examples",
    "train_loss",
    *BASIC_METRICS,
    "seconds",
    "bytes_down",
    "bytes_up",
    *MORE_METRICS,
    "aggregation_started_at",
    "state_bytes",
    "num_scored",
    "roc_auc_over",
    "ema_val_loss",
    "ema_roc_auc",
    "epsilon",
    "weights_sha256",
]
CLIENT_COLUMNS = [
    "round",
    "client",
    "worker",
    "status",
    "num_examples",
    "train_loss",
    "val_accuracy",
    "val_roc_auc",
    "seconds",
    "started_at",
    "transfer_seconds",
    "attempt",
    "threads",
    "error",
    "state_bytes",
    "val_loss",
    "val_recall",
    "val_specificity",
    "site",
    "epsilon",
]
TRAFFIC = ("bytes_down", "bytes_up", "state_bytes")
PARTITION_COLUMNS = ["round", "file", "client", "label", "patient", "site"]
CLASS_COLUMNS = ["round", "class", "name", "num_examples", *CLASS_METRIC_NAMES]
OUTSIDE = (
    "worker",
    "site",
    "error",
    "file",
    "patient",
    "name",
    "true",
    "run",
    "model",
    "picture",
    "decision",
    "column",
    "value",
    "data",
)
"""Columns with text that comes from outside: a spreadsheet could execute it."""
OWN_TEXT = ("status", "roc_auc_over", "weights_sha256")
"""Other columns of text in the tables of a run."""
TEST_COLUMNS = [
    "model",
    "round",
    "threshold",
    "num_examples",
    "num_patients",
    "test_loss",
    *WITH_INTERVALS,
    *(f"{name}_{end}" for name in WITH_INTERVALS for end in ("low", "high")),
    "roc_auc_over",
]
GROUP_COLUMNS = [
    "split",
    "column",
    "value",
    "num_examples",
    "num_patients",
    "num_of_rarest",
    "note",
    *(name for name in TEST_COLUMNS[TEST_COLUMNS.index("test_loss") :] if name != "roc_auc_over"),
]
EVALUATION_COLUMNS = [
    "threshold_is",
    "threshold",
    "num_examples",
    "num_patients",
    "num_trained_on",
    *GROUP_COLUMNS[GROUP_COLUMNS.index("test_loss") :],
    "run",
    "model",
    "model_digest",
    "data",
    "num_of_own_run",
]
SITE_MODELS = ("global", "fine-tuned", "local")
"""Values of `model` in sites.csv: that of the run, the same trained further at the site, trained alone."""
SITE_COLUMNS = ["model", "site", *(name for name in TEST_COLUMNS if name not in ("model", "roc_auc_over"))]
TEST_CLASS_COLUMNS = [
    "round",
    "class",
    "name",
    "num_examples",
    *CLASS_METRIC_NAMES,
    *(f"{name}_{end}" for name in CLASS_METRIC_NAMES for end in ("low", "high")),
]


def read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a CSV file as text; return an empty table with `columns` if it is missing.

    Raises:
        RecordError: the file cannot be read.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        return pd.DataFrame(columns=columns)
    except (OSError, ValueError) as error:
        raise RecordError(f"{path} could not be read: {error}") from error
    outside = {name: table[name].map(from_cell) for name in OUTSIDE if name in table.columns}
    return table.assign(**outside).rename(columns=from_cell)


def write_table(path: Path, columns: list[str], rows: list[dict[str, Any]]) -> None:
    """Write a CSV file; other values of a row than `columns` are dropped, and None is written as empty.

    Raises:
        RecordError: the file cannot be written; it is unchanged.
    """
    write_whole(path, to_csv(pd.DataFrame(rows, columns=columns, dtype=object)))


def confusion_table(confusion: NDArray[np.int64], class_names: Sequence[str]) -> pd.DataFrame:
    """Return the content of confusion.csv: one row per true class, one column per predicted class."""
    table = pd.DataFrame(confusion, columns=[cell(name) for name in class_names])
    table.insert(0, "true", list(class_names), allow_duplicates=True)
    return table


def to_csv(table: pd.DataFrame, header: bool = True) -> bytes:
    """Return UTF-8 text, one line per row; floats have enough digits to be read back exactly.

    Text from outside is escaped where a spreadsheet would execute it; `read_table` and `value_of` undo this.
    A carriage return and what UTF-8 cannot write become `\\x0d` and the like.
    """
    buffer = io.StringIO()
    outside = [name for name in OUTSIDE if name in table.columns]
    escaped = table.replace(dict.fromkeys(outside, ESCAPES), regex=True)
    escaped.to_csv(buffer, index=False, header=header, lineterminator="\n")
    return buffer.getvalue().encode(errors="backslashreplace")


def value_of(column: str, text: str) -> str | int | float | None:
    """Return the value of which `to_csv` made the text of a cell; None where it is empty."""
    if column in OUTSIDE or column in OWN_TEXT:
        return from_cell(text) or None
    try:
        return int(text)
    except ValueError:
        return float(text) if text else None


def round_row(
    round_number: int, replies: list[ClientReply], seconds: float, started_at: float
) -> dict[str, Any]:
    """Return the row of a round without the metrics of the averaged model: sums over the usable replies.

    `train_loss` is the mean over all training images, None if unknown. Both times are seconds after dispatch.
    """
    usable = [reply for reply in replies if reply.status in USABLE]
    num_examples = sum(reply.num_examples for reply in usable)
    losses = [reply.train_loss * reply.num_examples for reply in usable if reply.train_loss is not None]
    return {
        "round": round_number,
        "num_clients": len(usable),
        "num_examples": num_examples,
        "train_loss": sum(losses) / num_examples if usable and len(losses) == len(usable) else None,
        "seconds": round(seconds, 3),
        "aggregation_started_at": round(started_at, 3),
        **{name: sum(getattr(reply, name) for reply in replies) for name in TRAFFIC},
    }


def client_row(reply: ClientReply, metrics: Metrics, site: str | None = None) -> dict[str, Any]:
    """Return a row of clients.csv: the reply, its own model's validation metrics (if known) and its site."""
    times = {name: round(getattr(reply, name), 3) for name in ("seconds", "started_at", "transfer_seconds")}
    own = {name if name == "val_loss" else f"val_{name}": value for name, value in metrics.items()}
    return {**vars(reply), **times, **own, "site": site}


def class_rows(evaluation: Evaluation, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of classes.csv or test_classes.csv without their keys; none with two classes."""
    counts = evaluation.confusion.sum(axis=1).tolist()
    classes = zip(class_names, counts, evaluation.by_class, strict=bool(evaluation.by_class))
    return [
        {"class": label, "name": name, "num_examples": number, **metrics}
        for label, (name, number, metrics) in enumerate(classes)
    ]
