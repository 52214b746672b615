"""Reliability diagram: do scores match observed frequencies, and on how many images."""

import numpy as np

from helpers.evaluation.metrics import decide
from helpers.evaluation.threshold_rule import WITHOUT_CHOICE
from helpers.reporting.pictures import (
    HALF,
    LEGEND_LINE,
    MUTED,
    PAPER,
    SERIES,
    Picture,
    new_figure,
    to_picture,
)
from helpers.reporting.run_files import SplitScores

BINS = 10


def draw_calibration(split: SplitScores, name: str, class_names: tuple[str, ...]) -> Picture:
    """Draw the share of class 1 by mean score in ten equal bins, above the number of images of each class.

    With more than two classes: the share of correct decisions by mean probability of the decided class.
    """
    if split.is_binary:
        scores, outcomes, (negative, positive), axis = split.scores, split.labels, class_names, "score"
    else:
        scores, outcomes = split.scores.max(axis=1), split.labels == decide(split.scores, WITHOUT_CHOICE)
        negative, positive, axis = "wrong", "correct", "probability of the decided class"
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    positives = np.bincount(bins, weights=outcomes, minlength=BINS)
    filled = counts > 0
    means = np.bincount(bins, weights=scores, minlength=BINS)[filled] / counts[filled]
    shares = positives[filled] / counts[filled]

    figure = new_figure((HALF[0], HALF[1] + 1.2), bottom=0.5 + 1.3 * LEGEND_LINE)
    upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 1), gridspec_kw={"hspace": 0.12})
    upper.plot([0, 1], [0, 1], ":", color=MUTED, linewidth=1, label="perfect")
    upper.plot(means, shares, "-o", color=SERIES[0], label=name)
    for x, y, count in zip(means, shares, counts[filled], strict=True):
        below = y > 0.9
        upper.annotate(
            str(count), (x, y), xytext=(0, -6 if below else 6), textcoords="offset points",
            ha="center", va="top" if below else "bottom", fontsize=8, color=MUTED,
        )  # fmt: skip
    upper.set(xlim=(0, 1), ylim=(-0.04, 1.04), ylabel=f"share {positive}")
    upper.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    centers = (np.arange(BINS) + 0.5) / BINS
    width = 0.9 / BINS
    negatives = counts - positives
    lower.bar(centers, negatives, width, color=SERIES[0], label=negative)
    lower.bar(
        centers, positives, width, negatives, color=SERIES[1], hatch="///", edgecolor=PAPER, linewidth=0,
        label=positive,
    )  # fmt: skip
    lower.set(xlabel=axis, ylabel="images")
    figure.legend(*lower.get_legend_handles_labels(), loc="lower center", ncols=2)
    worst = int(np.argmax(np.abs(shares - means)))
    alt = (
        f"Reliability diagram on {name}; farthest from the diagonal: images with a mean {axis} "
        f"of {means[worst]:.2f}, of which {shares[worst]:.2f} are {positive}"
    )
    return to_picture(figure, f"calibration-{name}", alt)
