"""Operating points: decisions between two classes at several thresholds, and their net benefit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from helpers.evaluation.metrics import Labels, Scores, checked, confusion_of, decide, defined, ratio
from helpers.evaluation.threshold_rule import WITHOUT_CHOICE
from helpers.evaluation.thresholds import choose_threshold

Values = NDArray[np.float64]

RULES = ("sensitivity>=0.95", "sensitivity>=0.90", "youden", "specificity>=0.90", "specificity>=0.95")


@dataclass(frozen=True)
class OperatingPoint:
    """Decisions at a threshold.

    Attributes:
        threshold: scores at or above it count as class 1.
        rule: how it was chosen; empty for the model's own.
        detected, missed: number of images of class 1, by decision.
        correct, false_alarms: number of images of class 0, by decision.
        to_one, to_zero: number of images that the model's own threshold decides otherwise: those that become
            class 1 here, and those that become class 0.
    """

    threshold: float
    rule: str
    detected: int
    missed: int
    correct: int
    false_alarms: int
    to_one: int
    to_zero: int

    @property
    def sensitivity(self) -> float | None:
        return defined(float(ratio(self.detected, self.detected + self.missed)))

    @property
    def specificity(self) -> float | None:
        return defined(float(ratio(self.correct, self.correct + self.false_alarms)))


def operating_points(
    labels: Labels, scores: Scores, own: float, others: Sequence[tuple[float, str]] = ()
) -> list[OperatingPoint]:
    """Return the decisions at the model's own threshold, then at others.

    Args:
        labels, scores: as in `evaluate`, of two classes.
        own: the model's threshold.
        others: thresholds, each with the rule that chose it.

    Raises:
        ValueError: as `evaluate`.
    """
    before = decide(scores, own)
    points = []
    for threshold, rule in [(own, ""), *others]:
        now = decide(scores, threshold)
        (correct, false_alarms), (missed, detected) = confusion_of(labels, scores, threshold).tolist()
        to_one, to_zero = int((now > before).sum()), int((now < before).sum())
        points.append(
            OperatingPoint(threshold, rule, detected, missed, correct, false_alarms, to_one, to_zero)
        )
    return points


def chosen_thresholds(labels: Labels, scores: Scores) -> list[tuple[float, str]]:
    """Return 0.5 and the thresholds that RULES choose on these images, from low to high, with their rules."""
    rules = {WITHOUT_CHOICE: ["fixed"]}
    for rule in RULES:
        rules.setdefault(choose_threshold(labels, scores, rule), []).append(rule)
    return [(threshold, ", ".join(rules[threshold])) for threshold in sorted(rules)]


def net_benefit(labels: Labels, scores: Scores, thresholds: Values) -> Values:
    """Return the net benefit of deciding at each threshold, (T,).

    Vickers & Elkin 2006, "Decision curve analysis: a novel method for evaluating prediction models": true
    positives minus false positives weighted by the odds of the threshold, per image. A score must mean a
    probability: at the threshold t, a missed case is as bad as (1 - t) / t false alarms.

    Args:
        labels, scores: as in `evaluate`, of two classes.
        thresholds: (T,), below 1.

    Raises:
        ValueError: as `checked`.
    """
    labels, scores = checked(labels, scores)
    true, false = (
        len(own) - np.searchsorted(own, thresholds)
        for own in (np.sort(scores[labels == label]) for label in (1, 0))
    )
    benefit: Values = (true - false * thresholds / (1 - thresholds)) / len(labels)
    return benefit


def benefit_of_all(labels: Labels, thresholds: Values) -> Values:
    """Return the net benefit of deciding class 1 for every image, (T,). That of none is 0."""
    return net_benefit(labels, np.ones(len(labels)), thresholds)
