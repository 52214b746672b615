"""What a site can tell of its scores without giving them: counts and sums, which add up over sites."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from helpers.evaluation.metrics import METRIC_NAMES, Metrics, binary_metrics
from helpers.evaluation.weighted_metrics import Labels, Scores

POOLED, MEAN = "all images", "example-weighted mean of sites"
"""What a ROC-AUC is over, as the column `roc_auc_over` says it."""


@dataclass(frozen=True)
class Tally:
    """Counts and sums over images.

    Attributes:
        negative, positive: images of class 0, of class 1.
        true_negative, true_positive: of these, decided rightly at the threshold.
        loss: sum of the binary cross-entropies.
        squares: sum of the squared errors.
        roc_auc: of these images alone; None with one class only.
    """

    negative: int
    positive: int
    true_negative: int
    true_positive: int
    loss: float
    squares: float
    roc_auc: float | None

    def to_message(self) -> dict[str, Any]:
        return asdict(self)


def tally_of(labels: Labels, scores: Scores, threshold: float = 0.5) -> Tally:
    """Count and sum.

    Raises:
        ValueError: as `binary_metrics`.
    """
    metrics = binary_metrics(labels, scores, threshold)
    right = (np.asarray(scores, np.float64) >= threshold) == (np.asarray(labels) == 1)
    positive, number = int(np.sum(labels == 1)), len(labels)
    return Tally(
        negative=number - positive,
        positive=positive,
        true_negative=int(np.sum(right[labels == 0])),
        true_positive=int(np.sum(right[labels == 1])),
        loss=(metrics["val_loss"] or 0.0) * number,
        squares=(metrics["brier_score"] or 0.0) * number,
        roc_auc=metrics["roc_auc"],
    )


def read_tally(data: Any, counts: Sequence[int]) -> Tally:
    """Read what a site sent; nothing in it is trusted.

    Args:
        data: `Tally.to_message()`.
        counts: how many images of class 0 and of class 1 the site has.

    Raises:
        ValueError: it is none, or cannot be of so many images.
    """
    if not isinstance(data, dict) or set(data) != {field.name for field in fields(Tally)}:
        raise ValueError("no tally")
    tally = Tally(**data)
    negative, positive = counts
    whole = (tally.negative, tally.positive, tally.true_negative, tally.true_positive)
    if not all(type(count) is int for count in whole) or list(whole[:2]) != [negative, positive]:
        raise ValueError(f"tally of {whole[:2]} images, the site has {negative} and {positive}")
    if not (0 <= tally.true_negative <= negative and 0 <= tally.true_positive <= positive):
        raise ValueError("tally with more right decisions than images")
    sums = (tally.loss, tally.squares)
    if not all(type(value) in (float, int) and 0 <= value <= 17 * (negative + positive) for value in sums):
        raise ValueError("a sum of the tally is none of so many images")
    auc = tally.roc_auc
    if (auc is None) == bool(negative and positive):
        raise ValueError("the tally's AUC does not fit the classes there are")
    if auc is not None and not (type(auc) in (float, int) and 0 <= auc <= 1):
        raise ValueError("the tally's AUC is not between 0 and 1")
    return tally


def metrics_of(tallies: Sequence[Tally]) -> Metrics:
    """The metrics of METRIC_NAMES over the images of all tallies, each as if they lay at one place, but:

    `roc_auc` is the mean of the tallies' own, weighted by number of images; `average_precision` and
    `calibration_error`, which no sum gives, are None.
    """
    negative, positive = (sum(getattr(t, name) for t in tallies) for name in ("negative", "positive"))
    true_negative, true_positive = (
        sum(getattr(t, name) for t in tallies) for name in ("true_negative", "true_positive")
    )
    total, false_positive = negative + positive, negative - true_negative
    recall, specificity = _ratio(true_positive, positive), _ratio(true_negative, negative)
    ranked = [(t.roc_auc, t.negative + t.positive) for t in tallies if t.roc_auc is not None]
    found: Metrics = {
        "val_loss": _ratio(math.fsum(t.loss for t in tallies), total),
        "accuracy": _ratio(true_negative + true_positive, total),
        "precision": _ratio(true_positive, true_positive + false_positive),
        "recall": recall,
        "f1_score": _ratio(2 * true_positive, positive + true_positive + false_positive),
        "roc_auc": _ratio(math.fsum(auc * n for auc, n in ranked), sum(n for _, n in ranked)),
        "specificity": specificity,
        "balanced_accuracy": None if recall is None or specificity is None else (recall + specificity) / 2,
        "brier_score": _ratio(math.fsum(t.squares for t in tallies), total),
    }
    return {name: found.get(name) for name in METRIC_NAMES}


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
