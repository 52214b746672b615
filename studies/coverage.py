"""How often the 95 % intervals of test.csv contain the truth, by simulation; makes docs/coverage.md.

    python -m studies.coverage

Patients have several images. The scores of an image are normal, with a part that the patient's images
share. The model is compared with a second, worse one.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from helpers.evaluation.intervals import metric_intervals, paired_difference
from helpers.evaluation.metrics import METRIC_NAMES, SENSITIVITY, evaluate
from helpers.run_records.files import write_whole

METRICS = (*METRIC_NAMES[1:], SENSITIVITY)
DIFFERENCE = "difference of AUCs"
NUM_IMAGES = (40, 100, 200, 400)
AUCS = (0.70, 0.85, 0.95)
LESS = 0.05
"""The AUC of the second model is lower by this much."""
OWN = 0.6
"""Share of the scores' variance that both models have in common."""
LARGE = 200_000  # images whose metrics count as the truth


@dataclass(frozen=True)
class Patients:
    """A kind of patients.

    Attributes:
        title: in the table.
        images: mean number of images of a patient.
        likeness: correlation of the scores of a patient's images.
        share: share of cancers.
        mixed: whether a patient has images of both classes.
    """

    title: str
    images: int
    likeness: float
    share: float
    mixed: bool = False


KINDS = (
    Patients("1 image each", 1, 0.0, 0.5),
    Patients("2 images each", 2, 0.5, 0.5),
    Patients("4 images each, 30 % cancers", 4, 0.5, 0.3),
    Patients("3 very similar images each, 30 % cancers", 3, 0.9, 0.3),
    Patients("3 images each of both classes, 30 % cancers", 3, 0.5, 0.3, mixed=True),
)


@dataclass(frozen=True)
class Coverage:
    """Simulated tests of one size, AUC and kind of patients.

    Attributes:
        covered, shown: by metric, number of intervals that contain the truth, and of intervals.
        width: by metric, mean width of the intervals.
    """

    covered: dict[str, int]
    shown: dict[str, int]
    width: dict[str, float]

    def share(self, name: str) -> float:
        """Return the share that contains the truth; NaN without intervals."""
        return self.covered[name] / self.shown[name] if self.shown[name] else float("nan")


def distance_of(auc: float) -> float:
    """Return the distance of two normal distributions with this AUC."""
    return float(np.sqrt(2) * ndtri(auc))


def scores_of(signal: np.ndarray, auc: float, share: float) -> np.ndarray:
    """Return the probability of cancer for normal scores."""
    distance = distance_of(auc)
    probability: np.ndarray = expit(distance * signal - distance**2 / 2 + logit(share))
    return probability


@cache
def truth(auc: float, share: float) -> dict[str, float]:
    """Return the metrics of LARGE independent images, and those that have a formula."""
    generator = np.random.default_rng(0)
    labels = (generator.random(LARGE) < share).astype(int)
    signal = distance_of(auc) * labels + generator.normal(size=LARGE)
    metrics = evaluate(labels, scores_of(signal, auc, share)).metrics
    exact = {"roc_auc": auc, SENSITIVITY: float(ndtr(distance_of(auc) + ndtri(0.1))), DIFFERENCE: LESS}
    return {name: value for name, value in metrics.items() if value is not None} | exact


def simulate(seed: int, num_images: int, auc: float, kind: Patients) -> tuple[np.ndarray, ...]:
    """Return labels, scores of two models, and patients of one test."""
    generator = np.random.default_rng([seed, num_images])
    sizes = (
        generator.integers(1, 2 * kind.images, num_images) if kind.images > 1 else np.ones(num_images, int)
    )
    patients = np.repeat(np.arange(num_images), sizes)[:num_images]
    labels = generator.random(num_images) < kind.share
    labels = (labels if kind.mixed else labels[patients]).astype(int)

    def noise() -> np.ndarray:
        shared = generator.normal(size=num_images)[patients]
        own: np.ndarray = generator.normal(size=num_images)
        return np.sqrt(kind.likeness) * shared + np.sqrt(1 - kind.likeness) * own

    first, other = noise(), noise()
    second = np.sqrt(OWN) * first + np.sqrt(1 - OWN) * other
    signals = ((auc, first), (auc - LESS, second))
    scores = [scores_of(distance_of(a) * labels + error, a, kind.share) for a, error in signals]
    return labels, *scores, patients


def measure(num_images: int, auc: float, kind: Patients, tests: int) -> Coverage:
    """Simulate tests and count the intervals that contain the truth."""
    names = (*METRICS, DIFFERENCE)
    covered, shown, width = dict.fromkeys(names, 0), dict.fromkeys(names, 0), dict.fromkeys(names, 0.0)
    expected = truth(auc, kind.share)
    for seed in range(tests):
        labels, scores, others, patients = simulate(seed, num_images, auc, kind)
        intervals = dict(metric_intervals(labels, scores, patients, 0.5).overall)
        pair = paired_difference(labels, scores, others, patients)
        low, high = pair["low"], pair["high"]
        intervals[DIFFERENCE] = None if low is None or high is None else (low, high)
        for name, interval in intervals.items():
            if interval is not None:
                covered[name] += interval[0] <= expected[name] <= interval[1]
                shown[name] += 1
                width[name] += interval[1] - interval[0]
    return Coverage(covered, shown, {name: width[name] / max(1, shown[name]) for name in names})


def page(rows: dict[tuple[int, float, Patients], Coverage], tests: int, command: str) -> str:
    """Return the page as Markdown."""
    names = [name for name in (*METRICS, DIFFERENCE) if any(row.shown[name] for row in rows.values())]
    error = 100 * (0.95 * 0.05 / tests) ** 0.5
    lines = [
        "# How often the 95 % intervals contain the truth",
        "",
        f"Simulated on {date.today()} with `{command}`: {tests} tests for each row.",
        "A cell is the share of intervals that contain the truth, in %, and the mean width.",
        f"A share of 95 has a standard error of {error:.1f}. A dash: no interval is shown.",
        "",
        f"Lowest share: {_lowest(rows, names)}.",
        "",
        "Brier score and calibration error have no interval.",
        "The intervals of few patients are wide, because the images of a patient then count as one.",
        "",
        "The scores of a patient's images have a correlation of 0.5, those of very similar images 0.9.",
        "The second model of the difference has an AUC that is lower by 0.05.",
        "",
        f"| images | AUC | patients | {' | '.join(name.replace('_', ' ') for name in names)} |",
        f"|---|---|---|{'---|' * len(names)}",
    ]
    for (num_images, auc, kind), row in rows.items():
        cells = [
            f"{100 * row.share(name):.1f} ({row.width[name]:.2f})" if row.shown[name] else "–"
            for name in names
        ]
        lines.append(f"| {num_images} | {auc:.2f} | {kind.title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _lowest(rows: dict[tuple[int, float, Patients], Coverage], names: Sequence[str]) -> str:
    shares = [(row.share(name), name) for row in rows.values() for name in names if row.shown[name]]
    share, name = min(shares)
    return f"{100 * share:.1f} %, of {name.replace('_', ' ')}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m studies.coverage", description=__doc__)
    parser.add_argument("--tests", type=int, default=1000, help="simulated tests for each row")
    parser.add_argument("--page", type=Path, default=Path("docs/coverage.md"), help="file to write")
    options = parser.parse_args(arguments)
    rows = {}
    for num_images in NUM_IMAGES:
        for auc in AUCS:
            for kind in KINDS:
                row = rows[num_images, auc, kind] = measure(num_images, auc, kind, options.tests)
                shares = ", ".join(
                    f"{name} {100 * row.share(name):.1f}" for name in row.shown if row.shown[name]
                )
                print(f"{num_images} images, AUC {auc:.2f}, {kind.title}: {shares}", flush=True)
    text = page(rows, options.tests, "python -m studies.coverage")
    write_whole(options.page, text.encode())
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
