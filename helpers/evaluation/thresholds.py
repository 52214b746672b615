"""The threshold of the decision, chosen on validation: scores at or above it count as class 1."""

import numpy as np

from helpers.evaluation.threshold_rule import WITHOUT_CHOICE, parse_rule
from helpers.evaluation.weighted_metrics import Labels, Scores, checked


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
        ValueError: as `parse_rule` and `checked`.
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
