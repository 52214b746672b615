"""Counts of images by bins of the logit and by class: what a site shares in place of a score per image.

The width of a bin is a power of two, so the bins of different sites fit each other. The middle half of a
site's images spreads over 64 to 128 bins, or over wider ones of 1/16. There are at most 1,025 bins, so that
a count says no more than 10 bits about an image, whatever the network. The AUC of all sites' counts is within
.005 of that of their scores, also where scores are close to 0 and 1, as the logit spreads them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.evaluation.metrics import Labels, Scores, Values, checked, one_against_rest, ranking

LOWEST, HIGHEST = -104.0, 17.0
"""Logits of the scores 0 and 1: just beyond those of the nearest numbers in single precision."""
WIDEST, NARROWEST = -4, -20
"""Exponents of the width of a bin."""
BINS_OF_HALF = 64
MOST_ASIDE = 512
"""Most bins on each side of the median; scores further away are counted in the last bin."""

Bins = dict[str, Any]
"""Counts for one class: `exponent` of the width 2^exponent, and `counts`, rising rows of index of the bin,
images of other classes and images of the class; a bin's middle is index × width.
"""


def logits(scores: Scores) -> Values:
    """Return the logits of probabilities, (N,), between LOWEST and HIGHEST."""
    values = np.asarray(scores, np.float64)
    with np.errstate(divide="ignore"):
        odds: Values = np.log(values) - np.log1p(-values)
    return np.clip(odds, LOWEST, HIGHEST)


def probabilities(values: Values) -> Values:
    """Return the probabilities of logits; those of LOWEST and HIGHEST are 0 and 1."""
    inner: Values = 1 / (1 + np.exp(-values))
    return np.where(values <= LOWEST, 0.0, np.where(values >= HIGHEST, 1.0, inner))


def indices_of(values: Values) -> tuple[NDArray[np.int64], int]:
    """Return the index of the bin of each logit, and the exponent of the width, from their spread."""
    low, median, high = np.percentile(values, (25, 50, 75))
    width = max(float(high - low), 2.0**NARROWEST) / BINS_OF_HALF
    exponent = int(np.clip(np.floor(np.log2(width)), NARROWEST, WIDEST))
    middle = int(np.rint(median / 2.0**exponent))
    indices = np.rint(values / 2.0**exponent).astype(np.int64)
    return indices.clip(middle - MOST_ASIDE, middle + MOST_ASIDE), exponent


def rounded(scores: Scores) -> Scores:
    """Return scores rounded to the middles of their bins, each column by itself; rows still sum to 1."""
    if scores.ndim > 1:
        columns = np.stack([rounded(column) for column in scores.T], axis=1)
        rows: Scores = (columns / columns.sum(axis=1, keepdims=True)).astype(scores.dtype)
        return rows
    indices, exponent = indices_of(logits(scores))
    middles: Scores = probabilities(np.multiply(indices, 2.0**exponent)).astype(scores.dtype)
    return middles


def bins_of(labels: Labels, scores: Scores) -> list[Bins]:
    """Return the counts of each reported class (`one_against_rest`).

    Args:
        labels: (N,), 0 to k - 1.
        scores: (N,), probability of class 1; (N, k) with more than two classes.

    Raises:
        ValueError: as `checked`.
    """
    return [_bins(truth, logits(column)) for truth, column in one_against_rest(*checked(labels, scores))]


def _bins(truth: Labels, values: Values) -> Bins:
    of_images, exponent = indices_of(values)
    indices, places = np.unique(of_images, return_inverse=True)
    counts = np.zeros((len(indices), 2), np.int64)
    np.add.at(counts, (places, truth), 1)
    return {"exponent": exponent, "counts": np.column_stack([indices, counts]).tolist()}


def read_bins(data: Any, counts: Sequence[int]) -> list[Bins]:
    """Validate the bins that a site sent.

    Args:
        data: `bins_of`, untrusted.
        counts: number of images of each class at the site.

    Raises:
        ValueError: `data` are not such bins, or contradict `counts`.
    """
    reported = list(counts) if len(counts) > 2 else list(counts[1:])
    if not isinstance(data, list) or len(data) != len(reported):
        raise ValueError(f"the tally does not have bins of {len(reported)} classes")
    for bins, of_class in zip(data, reported, strict=True):
        if not isinstance(bins, dict) or set(bins) != {"exponent", "counts"}:
            raise ValueError("the tally has bins of another form")
        exponent = bins["exponent"]
        if type(exponent) is not int or not NARROWEST <= exponent <= WIDEST:
            raise ValueError("the tally has bins of an impossible width")
        _check_counts(bins["counts"], 2.0**exponent, (sum(counts) - of_class, of_class))
    return data


def _check_counts(rows: Any, width: float, images: tuple[int, int]) -> None:
    """Refuse rows that are not rising bins of a width with these images, of others and the class."""
    if not isinstance(rows, list) or len(rows) > sum(images):
        raise ValueError("the tally has more bins than images")
    if not all(isinstance(row, list) and [type(number) for number in row] == [int] * 3 for row in rows):
        raise ValueError("the tally has bins that are not counts")
    indices = [row[0] for row in rows]
    if indices != sorted(set(indices)) or any(
        not LOWEST / width <= index <= HIGHEST / width for index in indices
    ):
        raise ValueError("the tally has bins out of order or range")
    if any(min(row[1:]) < 0 for row in rows) or tuple(map(sum, zip(*rows, strict=True)))[1:] != images:
        raise ValueError("the bins of the tally do not fit the site's images of each class")


def pooled(all_bins: Sequence[Bins]) -> tuple[NDArray[np.int64], Values]:
    """Return class (0 or 1) and logit of every image of several sites, without an order, of one class."""
    tables = [np.array(bins["counts"], np.int64).reshape(-1, 3) for bins in all_bins]
    middles = [table[:, 0] * 2.0 ** bins["exponent"] for table, bins in zip(tables, all_bins, strict=True)]
    counts = np.concatenate([table[:, 1:] for table in tables])
    labels = np.tile([0, 1], len(counts))
    return np.repeat(labels, counts.ravel()), np.repeat(np.concatenate(middles).repeat(2), counts.ravel())


def ranking_of(sites: Sequence[list[Bins]]) -> Values:
    """Return ROC-AUC, average precision and sensitivity of all sites' images, a row for each reported class.

    Args:
        sites: `bins_of` each site, of at least one site.
    """
    return np.array([ranking(*pooled(of_class)) for of_class in zip(*sites, strict=True)])
