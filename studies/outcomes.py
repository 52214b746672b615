"""Finished runs of the study: choices by validation and paired differences of test results."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from helpers.evaluation.intervals import paired_difference
from helpers.reporting.run_files import RunFiles, SplitScores, read_run
from helpers.run_records.files import RecordError
from studies.cases import Case

Estimate = dict[str, float | None]
"""`difference`, `low` and `high`; None where undefined."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """A finished run.

    Attributes:
        seed: of the run, and of the splits.
        title: on the page.
        files: of the run.
    """

    seed: int
    title: str
    files: RunFiles

    @property
    def best_validation(self) -> float:
        """The validation ROC-AUC of the tested round; -1 if it is undefined in every round."""
        best = self.files.best_auc
        return float(best) if np.isfinite(best) else -1.0

    @property
    def megabytes(self) -> float:
        """The mean traffic of weights and client states in a round, MB."""
        rounds = self.files.rounds
        return float((rounds["bytes_down"] + rounds["bytes_up"] + rounds["state_bytes"]).mean() / 1e6)

    @property
    def seconds(self) -> float:
        """The median seconds from dispatching a round to its evaluated average."""
        return float(self.files.rounds["seconds"].median())

    @property
    def test(self) -> SplitScores:
        return self.files.scores["test"]

    def rounds_to(self, auc: float) -> int | None:
        """Return the first round whose validation ROC-AUC is at least `auc`."""
        reached = self.files.rounds[self.files.rounds["roc_auc"] >= auc]
        return int(reached["round"].min()) if len(reached) else None


Outcomes = Mapping[str, Sequence[Outcome]]
"""By name of the case, one outcome for each seed, in order."""


def read_outcome(metrics_dir: Path, models_dir: Path, run: str, seed: int, title: str) -> Outcome:
    """Read a finished run.

    Raises:
        RecordError: the run is not finished or its files cannot be read.
    """
    files = read_run(metrics_dir, models_dir, run)
    if files.unreadable or not files.is_finished or "test" not in files.scores or not len(files.rounds):
        raise RecordError(f"run {run}: {'; '.join(files.unreadable) or 'not finished'}; {metrics_dir / run}")
    return Outcome(seed, title, files)


def hardest(outcomes: Outcomes, names: Iterable[str]) -> str:
    """Return the case with the lowest mean validation ROC-AUC. Test results are not used."""
    return min(names, key=lambda name: float(np.mean([one.best_validation for one in outcomes[name]])))


def best_by_validation(clients: Iterable[Outcome]) -> Outcome:
    """Return the client with the highest validation ROC-AUC among those that trained alone."""
    return replace(max(clients, key=lambda one: one.best_validation), title="best client alone")


def best_case(cases: Iterable[Case], outcome_of: Callable[[Case], Outcome]) -> Case:
    """Return the case with the highest validation ROC-AUC; the first one of equals."""
    return max(cases, key=lambda case: outcome_of(case).best_validation)


def difference(one: Outcome, reference: Outcome) -> Estimate:
    """Return the test ROC-AUC of `one` minus that of `reference`, with its paired interval.

    Raises:
        RecordError: the runs were tested on different images.
    """
    _check_same_images(one, reference)
    test = one.test
    return paired_difference(test.labels, test.scores, reference.test.scores, test.patients)


def mean_difference(ones: Sequence[Outcome], references: Sequence[Outcome]) -> Estimate:
    """Return the mean of these differences over seeds, with a 95 % interval.

    Every seed has its own test images, and a patient may be in several tests. So the distances to the limits
    of all seeds are averaged, which is right if they err alike. The interval covers the choice of patients,
    not that of seeds.

    Raises:
        RecordError: as `difference`.
    """
    estimates = [difference(one, reference) for one, reference in zip(ones, references, strict=True)]
    return {name: _mean([estimate[name] for estimate in estimates]) for name in ("difference", "low", "high")}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _check_same_images(one: Outcome, other: Outcome) -> None:
    digests = [outcome.files.facts.get("data_digest") for outcome in (one, other)]
    if digests[0] != digests[1] or len(one.test.labels) != len(other.test.labels):
        raise RecordError(f"{one.files.run} and {other.files.run} were tested on different images")
