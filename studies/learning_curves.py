"""Learning curves: validation ROC-AUC by round, with mean and range over seeds."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.plots import BLUE, DPI, GRAY, MARKERS, OTHERS, REFERENCE, WIDTH, quieten
from studies.outcomes import Outcome

STYLES = tuple(zip((REFERENCE, BLUE, *OTHERS, GRAY), MARKERS * 2, strict=False))
HEIGHT = 4.0


def draw_curves(panels: Mapping[str, Sequence[Sequence[Outcome]]], level: float) -> bytes:
    """Draw panels in a row, on a white background.

    Args:
        panels: by title, cases with an outcome for each seed; the first case, the reference, is black.
        level: of the dashed line.

    Returns:
        A PNG.
    """
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained", facecolor="white")
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axis, (title, cases) in zip(axes, panels.items(), strict=True):
        for (color, marker), ones in zip(STYLES[: len(cases)], cases, strict=True):
            low, mean, high = range_over_seeds(ones)
            rounds = np.arange(1, len(mean) + 1)
            axis.fill_between(rounds, low, high, color=color, alpha=0.12, linewidth=0)
            axis.plot(rounds, mean, color=color, marker=marker, markersize=4, label=ones[0].title)
        axis.axhline(level, color=REFERENCE, linewidth=0.8, linestyle="--")
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_xlabel("round")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(frameon=False, fontsize=8)
        axis.set_facecolor("white")
        quieten(axis)
    axes[0].set_ylabel("validation ROC-AUC")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def range_over_seeds(ones: Sequence[Outcome]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return minimum, mean and maximum of the seeds: float64 (rounds,), up to the shortest run."""
    shortest = min(len(one.files.rounds) for one in ones)
    values = np.array([one.files.rounds["roc_auc"].to_numpy()[:shortest] for one in ones])
    return values.min(axis=0), values.mean(axis=0), values.max(axis=0)
