"""From replies and metrics to the rows of a run's tables."""

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
    """The row of a round without metrics of the averaged model: sums over the clients that count.

    `train_loss` is the mean over all training images; both times are seconds after the dispatch.
    """
    counted = [reply for reply in replies if reply.status in USABLE]
    num_examples = sum(reply.num_examples for reply in counted)
    loss = sum((reply.train_loss or 0.0) * reply.num_examples for reply in counted)
    return {
        "round": round_number,
        "num_clients": len(counted),
        "num_examples": num_examples,
        "train_loss": loss / num_examples if num_examples else None,
        "seconds": round(seconds, 3),
        "bytes_down": sum(reply.bytes_down for reply in replies),
        "bytes_up": sum(reply.bytes_up for reply in replies),
        "aggregation_started_at": round(aggregation_started_at, 3),
        "state_bytes": sum(reply.state_bytes for reply in replies),
    }


def client_row(reply: ClientReply, metrics: Metrics, site: str | None = None) -> dict[str, Any]:
    """The row of a client: its reply, how its own model does on validation (empty if unknown), its site."""
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


def class_rows(found: Evaluation, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of classes.csv or test_classes.csv but for their keys; none where there are two classes."""
    counts = found.confusion.sum(axis=1).tolist()
    about = zip(class_names, counts, found.by_class, strict=bool(found.by_class))
    return [
        {"class": label, "name": name, "num_examples": number, **metrics}
        for label, (name, number, metrics) in enumerate(about)
    ]
