"""ROC and precision-recall curves with bootstrap bands over patients."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from helpers.reporting.pictures import MUTED, SERIES, Picture, line_style, new_axes, shortened, to_picture
from helpers.reporting.run_files import SplitScores

RESAMPLES = 400
GRID = np.linspace(0, 1, 101)

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RankedScores:
    """Scores in descending order, sorted once for all resamples.

    Attributes:
        order: int (N,), sorting indices.
        labels: float (N,), in that order.
        ends: the last index of every group of equal scores.
    """

    order: NDArray[np.int64]
    labels: Floats
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, split: SplitScores) -> "RankedScores":
        order = np.argsort(-split.scores, kind="stable")
        ranked = split.scores[order]
        ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        return cls(order, split.labels[order].astype(np.float64), ends)

    def counts(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return true and false positives at every threshold, strictest first: each (T + 1,), from 0."""
        true = np.cumsum(weights * self.labels)[self.ends]
        false = np.cumsum(weights * (1 - self.labels))[self.ends]
        return np.append(0.0, true), np.append(0.0, false)


def roc(true: Floats, false: Floats) -> tuple[Floats, Floats]:
    """Return false positive rate and sensitivity."""
    return false / false[-1], true / true[-1]


def precision_recall(true: Floats, false: Floats) -> tuple[Floats, Floats]:
    """Return recall and precision."""
    return (true / true[-1])[1:], (true / (true + false).clip(1e-12))[1:]


def area_under_roc(x: Floats, y: Floats) -> float:
    return float(np.trapezoid(y, x))


def average_precision(x: Floats, y: Floats) -> float:
    return float(np.sum(np.diff(x, prepend=0.0) * y))


def roc_on_grid(true: Floats, false: Floats) -> Floats:
    x, y = roc(true, false)
    curve: Floats = np.interp(GRID, x, y)
    return curve


def precision_on_grid(true: Floats, false: Floats) -> Floats:
    """Return the precision at the first threshold that reaches each recall of GRID."""
    recall, precision = precision_recall(true, false)
    curve: Floats = precision[np.searchsorted(recall, GRID).clip(max=len(recall) - 1)]
    return curve


def band(split: SplitScores, on_grid: Callable[[Floats, Floats], Floats]) -> tuple[Floats, Floats]:
    """Return the 2.5th and 97.5th percentile of a curve over GRID, from a bootstrap over patients.

    Resamples that lack a class are skipped.
    """
    ranked = RankedScores.of(split)
    names, patient_of = np.unique(split.patients, return_inverse=True)
    generator = np.random.default_rng(0)
    curves = []
    for _ in range(RESAMPLES):
        drawn = np.bincount(generator.integers(len(names), size=len(names)), minlength=len(names))
        true, false = ranked.counts(drawn[patient_of][ranked.order].astype(np.float64))
        if true[-1] > 0 and false[-1] > 0:
            curves.append(on_grid(true, false))
    low, high = np.percentile(curves, [2.5, 97.5], axis=0)
    return low, high


def draw_roc(split: SplitScores, name: str, test: Mapping[str, float]) -> Picture:
    """Draw the ROC curve of a split with both classes; for the test, with the interval of test.csv."""
    figure, axes = new_axes("1 − specificity", "sensitivity")
    ranked = RankedScores.of(split)
    x, y = roc(*ranked.counts(np.ones(len(split.labels))))
    axes.plot([0, 1], [0, 1], ":", color=MUTED, linewidth=1, label="chance")
    axes.fill_between(GRID, *band(split, roc_on_grid), color=SERIES[0], alpha=0.2, linewidth=0)
    auc = area_under_roc(x, y)
    area = f"{auc:.3f}{_interval(name, test, 'roc_auc')}"
    axes.plot(x, y, color=SERIES[0], label=f"{name}, AUC {area}", clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="lower right")
    return to_picture(figure, f"roc-{name}", f"ROC curve on {name}; the area under it is {area}")


def draw_precision_recall(split: SplitScores, name: str, test: Mapping[str, float]) -> Picture:
    """Draw the precision-recall curve of a split with both classes; see `draw_roc`."""
    figure, axes = new_axes("recall (sensitivity)", "precision")
    ranked = RankedScores.of(split)
    x, y = precision_recall(*ranked.counts(np.ones(len(split.labels))))
    share = float(split.labels.mean())
    axes.axhline(share, linestyle=":", color=MUTED, linewidth=1, label=f"chance, {share:.2f}")
    axes.fill_between(
        GRID, *band(split, precision_on_grid), color=SERIES[0], alpha=0.2, linewidth=0, step="pre"
    )
    average = f"{average_precision(x, y):.3f}{_interval(name, test, 'average_precision')}"
    axes.step(x, y, color=SERIES[0], where="pre", label=f"{name}, average {average}", clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="lower left")
    alt = f"Precision-recall curve on {name}; the average precision is {average}"
    return to_picture(figure, f"pr-{name}", alt)


def _interval(name: str, test: Mapping[str, float], metric: str) -> str:
    """Return the 95 % interval of test.csv as text; empty for another split."""
    low, high = (test.get(f"{metric}_{end}", np.nan) for end in ("low", "high"))
    return f" ({low:.3f} to {high:.3f})" if name == "test" and low <= high else ""


def draw_class_rocs(split: SplitScores, name: str, class_names: tuple[str, ...]) -> Picture:
    """Draw a ROC curve for each of more than two classes against the rest."""
    figure, axes = new_axes("1 − specificity", "sensitivity", lines_below=len(class_names))
    axes.plot([0, 1], [0, 1], ":", color=MUTED, linewidth=1)
    areas = []
    for label, (true, false) in _counts_by_class(split).items():
        x, y = roc(true, false)
        color, dashes = line_style(label)
        areas.append(f"{shortened(class_names[label])}, AUC {area_under_roc(x, y):.3f}")
        axes.plot(x, y, dashes, color=color, label=areas[-1], clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    figure.legend(loc="lower center")
    alt = f"ROC curves on {name}, each class against the rest: {'; '.join(areas)}"
    return to_picture(figure, f"roc-{name}", alt)


def draw_class_precision_recalls(split: SplitScores, name: str, class_names: tuple[str, ...]) -> Picture:
    """Draw a precision-recall curve for each of more than two classes; see `draw_class_rocs`."""
    figure, axes = new_axes("recall (sensitivity)", "precision", lines_below=len(class_names))
    averages = []
    for label, (true, false) in _counts_by_class(split).items():
        x, y = precision_recall(true, false)
        color, dashes = line_style(label)
        averages.append(f"{shortened(class_names[label])}, average {average_precision(x, y):.3f}")
        axes.step(x, y, dashes, color=color, where="pre", label=averages[-1], clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    figure.legend(loc="lower center")
    alt = f"Precision-recall curves on {name}, each class against the rest: {'; '.join(averages)}"
    return to_picture(figure, f"pr-{name}", alt)


def _counts_by_class(split: SplitScores) -> dict[int, tuple[Floats, Floats]]:
    """Return true and false positives at every threshold, for each class present in the split."""
    once = np.ones(len(split.labels))
    return {
        int(label): RankedScores.of(split.one_against_rest(label)).counts(once)
        for label in np.unique(split.labels)
    }


def draw_roc_of_runs(splits: dict[str, SplitScores]) -> Picture:
    """Draw the test ROC curves of several runs."""
    figure, axes = new_axes("1 − specificity", "sensitivity", lines_below=len(splits))
    for number, (run, split) in enumerate(splits.items()):
        x, y = roc(*RankedScores.of(split).counts(np.ones(len(split.labels))))
        color, dashes = line_style(number)
        axes.plot(
            x, y, dashes, color=color, label=f"{shortened(run)}, {area_under_roc(x, y):.3f}", clip_on=False
        )
    axes.plot([0, 1], [0, 1], ":", color=MUTED, linewidth=1)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    figure.legend(loc="lower center")
    return to_picture(figure, "roc-of-runs", f"Test ROC curves of the runs {', '.join(splits)}")
