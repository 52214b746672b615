"""What finished runs of the study say: choices by validation, and differences of their tests."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from helpers.evaluation.intervals import paired_difference
from helpers.evaluation.metrics import defined
from helpers.evaluation.weighted_metrics import weighted_auc
from helpers.reporting.run_files import RunFiles, SplitScores, read_run
from helpers.run_records.files import RecordError

RESAMPLES = 2000
Estimate = dict[str, float | None]
"""`difference`, `low`, `high`; None where undefined."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """A finished run.

    Attributes:
        seed: of the run, and of the splits.
        title: what the page calls it.
        files: what it left.
    """

    seed: int
    title: str
    files: RunFiles

    @property
    def best_validation(self) -> float:
        """Validation ROC-AUC of the round that was tested; below all others where no round has one."""
        best = self.files.rounds["roc_auc"].max()
        return float(best) if np.isfinite(best) else -1.0

    @property
    def megabytes(self) -> float:
        """Weights and states that all clients read and wrote in a round, mean, MB."""
        rounds = self.files.rounds
        return float((rounds["bytes_down"] + rounds["bytes_up"] + rounds["state_bytes"]).mean() / 1e6)

    @property
    def seconds(self) -> float:
        """From dispatching a round to its evaluated average, median."""
        return float(self.files.rounds["seconds"].median())

    @property
    def test(self) -> SplitScores:
        return self.files.scores["test"]

    def rounds_to(self, auc: float) -> int | None:
        """The first round whose validation ROC-AUC is at least `auc`."""
        reached = self.files.rounds[self.files.rounds["roc_auc"] >= auc]
        return int(reached["round"].min()) if len(reached) else None


Outcomes = Mapping[str, Sequence[Outcome]]
"""By name of the case, one a seed, in the order of the seeds."""


def read_outcome(metrics_dir: Path, models_dir: Path, run: str, seed: int, title: str) -> Outcome:
    """Read a finished run.

    Raises:
        RecordError: it is not finished, or what it left cannot be read.
    """
    files = read_run(metrics_dir, models_dir, run)
    if files.unreadable or not files.is_finished or "test" not in files.scores or not len(files.rounds):
        raise RecordError(f"run {run}: {'; '.join(files.unreadable) or 'not finished'}; {metrics_dir / run}")
    return Outcome(seed, title, files)


def hardest(outcomes: Outcomes, names: Iterable[str]) -> str:
    """The case with the lowest mean validation ROC-AUC; the test is not looked at."""
    return min(names, key=lambda name: float(np.mean([one.best_validation for one in outcomes[name]])))


def best_by_validation(clients: Iterable[Outcome]) -> Outcome:
    """Of clients that trained alone, the one with the highest validation ROC-AUC, under a common title."""
    return replace(max(clients, key=lambda one: one.best_validation), title="best client alone")


def difference(one: Outcome, reference: Outcome) -> Estimate:
    """Test ROC-AUC of `one` minus that of `reference`, with the interval of a paired bootstrap over patients.

    Raises:
        RecordError: they were tested on other images.
    """
    _check_same_images(one, reference)
    test = one.test
    return paired_difference(test.labels, test.scores, reference.test.scores, test.patients, one.seed)


def mean_difference(
    ones: Sequence[Outcome], references: Sequence[Outcome], resamples: int = RESAMPLES
) -> Estimate:
    """The mean over seeds of these differences, with a 95 % interval.

    Every seed has its own test images, and a patient may be in the test of several. So patients of all tests
    are drawn together, with replacement, and a patient counts in every test as often as drawn (Efron &
    Tibshirani 1993, chapter 13). The interval tells what other patients would do, not what other seeds would.

    Raises:
        RecordError: as `difference`.
    """
    patients = np.unique(np.concatenate([one.test.patients for one in ones]))
    generator = np.random.default_rng([one.seed for one in ones])
    drawn = generator.multinomial(len(patients), np.full(len(patients), 1 / len(patients)), resamples)
    everyone = np.ones((1, len(patients)))
    weights = np.concatenate([everyone, drawn])
    values = []
    for one, reference in zip(ones, references, strict=True):
        _check_same_images(one, reference)
        counts = weights[:, np.searchsorted(patients, one.test.patients)]
        a, b = (weighted_auc(one.test.labels, each.test.scores, counts) for each in (one, reference))
        values.append(a - b)
    observed, *resampled = np.mean(values, axis=0)
    known = np.array([value for value in resampled if np.isfinite(value)])
    if len(known) < 0.95 * resamples:
        return {"difference": defined(float(observed)), "low": None, "high": None}
    low, high = np.percentile(known, (2.5, 97.5))
    return {"difference": defined(float(observed)), "low": float(low), "high": float(high)}


def _check_same_images(one: Outcome, other: Outcome) -> None:
    names = [outcome.files.facts.get("data_digest") for outcome in (one, other)]
    if names[0] != names[1] or len(one.test.labels) != len(other.test.labels):
        raise RecordError(f"{one.files.run} and {other.files.run} were tested on other images")
