"""Tallies: counts and sums that a site shares in place of its scores, and that add up over sites."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from helpers.evaluation.metrics import (
    CLASS_METRIC_NAMES,
    METRIC_NAMES,
    SENSITIVITY,
    Evaluation,
    Labels,
    Scores,
    class_rates,
    defined,
    evaluate,
    overall_rates,
    rows_by_class,
)
from helpers.evaluation.score_bins import Bins, bins_of, pooled, probabilities, ranking_of, read_bins
from helpers.evaluation.threshold_rule import without_choice
from helpers.evaluation.thresholds import choose_threshold

POOLED, BINNED = "all images", "all images, by counts"
MEAN = "example-weighted mean of sites"
"""Values of the column `roc_auc_over`."""


@dataclass(frozen=True)
class Tally:
    """Counts and sums over images.

    Attributes:
        confusion: number of images by truth and decision, k rows of k.
        loss: sum of the cross-entropies.
        squares: sum of the squared errors.
        roc_auc: of these images; None if a class has no images.
        bins: counts by score of each reported class; None if they stay at the site.
    """

    confusion: list[list[int]]
    loss: float
    squares: float
    roc_auc: float | None
    bins: list[Bins] | None = None

    @property
    def num_images(self) -> int:
        return sum(map(sum, self.confusion))

    def to_message(self) -> dict[str, Any]:
        return asdict(self)


def tally_of(labels: Labels, scores: Scores, threshold: float = 0.5, *, with_bins: bool = False) -> Tally:
    """Return the tally of scored images, without counts by score unless `with_bins`.

    Raises:
        ValueError: as `evaluate`.
    """
    evaluation, number = evaluate(labels, scores, threshold), len(labels)
    return Tally(
        confusion=evaluation.confusion.tolist(),
        loss=(evaluation.metrics["val_loss"] or 0.0) * number,
        squares=(evaluation.metrics["brier_score"] or 0.0) * number,
        roc_auc=evaluation.metrics["roc_auc"],
        bins=bins_of(labels, scores) if with_bins else None,
    )


def read_tally(data: Any, counts: Sequence[int]) -> Tally:
    """Validate the tally that a site sent.

    Args:
        data: `Tally.to_message()`, untrusted.
        counts: number of images of each class at the site.

    Raises:
        ValueError: `data` is not a tally, or contradicts `counts`.
    """
    if not isinstance(data, dict) or set(data) != {field.name for field in fields(Tally)}:
        raise ValueError("not a tally")
    tally = Tally(**data)
    rows, num_classes = tally.confusion, len(counts)
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise ValueError("the tally has no rows of counts")
    whole = all(type(count) is int and 0 <= count <= sum(counts) for row in rows for count in row)
    if not whole or [len(row) for row in rows] != [num_classes] * num_classes:
        raise ValueError(f"the tally is not {num_classes} rows of {num_classes} counts of its images")
    if [sum(row) for row in rows] != list(counts):
        raise ValueError(f"the tally does not fit the site's {list(counts)} images of each class")
    sums = (tally.loss, tally.squares)
    if not all(type(value) in (float, int) and 0 <= value <= 17 * sum(counts) for value in sums):
        raise ValueError(f"a sum of the tally is impossible for {sum(counts)} images")
    auc = tally.roc_auc
    if (auc is None) == all(counts):
        raise ValueError("the tally's AUC does not fit the classes of its images")
    if auc is not None and not (type(auc) in (float, int) and 0 <= auc <= 1):
        raise ValueError("the tally's AUC is not between 0 and 1")
    if tally.bins is not None:
        read_bins(tally.bins, counts)
    return tally


def have_bins(tallies: Sequence[Tally]) -> bool:
    """Return whether all tallies have counts by score."""
    return bool(tallies) and all(tally.bins is not None for tally in tallies)


def evaluation_of(tallies: Sequence[Tally], num_classes: int) -> Evaluation:
    """Combine tallies into the evaluation of all their images.

    The result equals that of `evaluate` on all images, except for `calibration_error`, which is None, and the
    metrics of ranking: `roc_auc`, `average_precision` and SENSITIVITY. If all tallies have bins, these are as
    exact as the bins. Otherwise `roc_auc` is the mean of the tallies' AUCs weighted by number of images, and
    the others, and `roc_auc` by class, are None.
    """
    confusion = np.zeros((num_classes, num_classes), np.int64)
    for tally in tallies:
        confusion += np.array(tally.confusion)
    total = int(confusion.sum())
    ranked = [(tally.roc_auc, tally.num_images) for tally in tallies if tally.roc_auc is not None]
    mean_auc = _ratio(math.fsum(auc * n for auc, n in ranked), sum(n for _, n in ranked))
    by_class = class_rates(confusion)
    if have_bins(tallies):
        columns = ranking_of([tally.bins or [] for tally in tallies]).T
        by_class |= dict(zip(("roc_auc", "average_precision", SENSITIVITY), columns, strict=True))
    rates = {name: float(values.mean()) for name, values in by_class.items()} | overall_rates(confusion)
    metrics = (
        {"roc_auc": mean_auc}
        | {name: defined(value) for name, value in rates.items()}
        | {
            "val_loss": _ratio(math.fsum(tally.loss for tally in tallies), total),
            "brier_score": _ratio(math.fsum(tally.squares for tally in tallies), total),
        }
    )
    unknown = np.full(len(by_class["recall"]), np.nan)
    return Evaluation(
        {name: metrics.get(name) for name in (*METRIC_NAMES, SENSITIVITY)},
        rows_by_class({name: by_class.get(name, unknown) for name in CLASS_METRIC_NAMES}),
        confusion,
    )


def threshold_of(tallies: Sequence[Tally], rule: str) -> float:
    """Return the threshold that a rule chooses by the counts of validation, at the lower end of a bin.

    Without counts, or with more than two classes, it is the one of `without_choice`.
    """
    if not have_bins(tallies) or len(tallies[0].confusion) > 2:
        return without_choice(rule)
    bins = [tally.bins[0] for tally in tallies if tally.bins]
    labels, values = pooled(bins)
    lower = probabilities(values - 2.0 ** min(each["exponent"] for each in bins) / 2)
    return choose_threshold(labels, lower, rule)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
