"""The threshold of the decision, chosen on validation: scores at or above it count as class 1."""

import re
from dataclasses import dataclass

import numpy as np

from helpers.evaluation.weighted_metrics import Labels, Scores, checked

WITHOUT_CHOICE = 0.5
ALLOWED = "a number between 0 and 1 such as 0.5, youden, sensitivity>=0.90, specificity>=0.90"
_AT_LEAST = re.compile(r"(sensitivity|specificity)\s*>=\s*(.+)")


@dataclass(frozen=True)
class Rule:
    """A rule by which the threshold is chosen.

    Attributes:
        kind: `fixed`, `youden`, `sensitivity` or `specificity`.
        value: the threshold of `fixed`, the least value of `sensitivity` and `specificity`; in (0, 1).
            `youden` has no use for it.
    """

    kind: str
    value: float = WITHOUT_CHOICE


def parse_rule(text: str) -> Rule:
    """Read a rule as the setting THRESHOLD names it.

    Raises:
        ValueError: none of the rules; the message lists them.
    """
    text = text.strip()
    if text == "youden":
        return Rule("youden")
    match = _AT_LEAST.fullmatch(text)
    kind, number = match.groups() if match else ("fixed", text)
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if not 0 < value < 1:
        raise ValueError(f"received {text!r}; allowed: {ALLOWED}")
    return Rule(kind, value)


def choose_threshold(labels: Labels, scores: Scores, rule: str) -> float:
    """Choose the threshold among the scores of the images.

    `youden` maximises sensitivity + specificity - 1 (Youden 1950, "Index for rating diagnostic tests");
    of equally good thresholds it takes the lowest, the one that misses the fewest cancers.
    `sensitivity>=v` takes the highest threshold that reaches v, `specificity>=v` the lowest; where the
    latter takes a threshold above all scores, it is just above the highest.

    Args:
        labels: (N,), 0 or 1, of validation.
        scores: (N,), probability of class 1.
        rule: see `parse_rule`.

    Returns:
        The threshold. 0.5 for every rule where only one class exists: there is nothing to choose by.

    Raises:
        ValueError: as `parse_rule` and `binary_metrics`.
    """
    parsed = parse_rule(rule)
    if parsed.kind == "fixed":
        return parsed.value
    labels, scores = checked(labels, scores)
    positive, negative = int(np.sum(labels == 1)), int(np.sum(labels == 0))
    if positive == 0 or negative == 0:
        return WITHOUT_CHOICE
    candidates = np.unique(scores)  # rising
    true_positive = positive - np.searchsorted(np.sort(scores[labels == 1]), candidates)
    true_negative = np.searchsorted(np.sort(scores[labels == 0]), candidates)
    if parsed.kind == "youden":  # in whole numbers, so that equal is equal
        return float(candidates[np.argmax(true_positive * negative + true_negative * positive)])
    if parsed.kind == "sensitivity":
        return float(candidates[true_positive / positive >= parsed.value][-1])
    specific = candidates[true_negative / negative >= parsed.value]
    # In single precision, as scores are stored: the next double would be rounded back to the score.
    return float(specific[0] if len(specific) else np.nextafter(np.float32(candidates[-1]), np.float32(2)))
