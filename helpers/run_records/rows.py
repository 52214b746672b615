"""Rows of a run's tables, made from replies and metrics."""

from collections.abc import Sequence
from typing import Any

from helpers.evaluation.metrics import Evaluation, Metrics
from helpers.federated.replies import USABLE, ClientReply


def round_row(
    round_number: int,
    replies: list[ClientReply],
    seconds: float,
    aggregation_started_at: float,
) -> dict[str, Any]:
    """Return the row of a round without the metrics of the averaged model: sums over the usable replies.

    `train_loss` is the mean over all training images. Both times are in seconds after the dispatch.
    """
    usable = [reply for reply in replies if reply.status in USABLE]
    num_examples = sum(reply.num_examples for reply in usable)
    loss = sum((reply.train_loss or 0.0) * reply.num_examples for reply in usable)
    return {
        "round": round_number,
        "num_clients": len(usable),
        "num_examples": num_examples,
        "train_loss": loss / num_examples if num_examples else None,
        "seconds": round(seconds, 3),
        "bytes_down": sum(reply.bytes_down for reply in replies),
        "bytes_up": sum(reply.bytes_up for reply in replies),
        "aggregation_started_at": round(aggregation_started_at, 3),
        "state_bytes": sum(reply.state_bytes for reply in replies),
    }


def client_row(reply: ClientReply, metrics: Metrics, site: str | None = None) -> dict[str, Any]:
    """Return a client's row: its reply, its own model's validation metrics (empty if unknown), its site."""
    return {
        "round": reply.round,
        "client": reply.client,
        "worker": reply.worker,
        "status": reply.status,
        "num_examples": reply.num_examples,
        "train_loss": reply.train_loss,
        "val_accuracy": metrics.get("accuracy"),
        "val_roc_auc": metrics.get("roc_auc"),
        "seconds": round(reply.seconds, 3),
        "started_at": round(reply.started_at, 3),
        "transfer_seconds": round(reply.transfer_seconds, 3),
        "attempt": reply.attempt,
        "threads": reply.threads,
        "error": reply.error,
        "state_bytes": reply.state_bytes,
        "val_loss": metrics.get("val_loss"),
        "val_recall": metrics.get("recall"),
        "val_specificity": metrics.get("specificity"),
        "site": site,
    }


def class_rows(evaluation: Evaluation, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of classes.csv or test_classes.csv without their keys; none with two classes."""
    counts = evaluation.confusion.sum(axis=1).tolist()
    classes = zip(class_names, counts, evaluation.by_class, strict=bool(evaluation.by_class))
    return [
        {"class": label, "name": name, "num_examples": number, **metrics}
        for label, (name, number, metrics) in enumerate(classes)
    ]
