"""Choice of the decision threshold on validation: scores at or above it count as class 1."""

import numpy as np

from helpers.evaluation.metrics import Labels, Scores, checked
from helpers.evaluation.threshold_rule import WITHOUT_CHOICE, parse_rule


def choose_threshold(labels: Labels, scores: Scores, rule: str) -> float:
    """Choose the threshold among the scores of the images.

    `youden` maximizes sensitivity + specificity - 1 (Youden 1950, "Index for rating diagnostic tests").
    Of equally good thresholds it takes the lowest, which misses the fewest cancers. `sensitivity>=v` takes
    the highest threshold that reaches v, `specificity>=v` the lowest. If no score reaches that specificity,
    the threshold is just above the highest score.

    Args:
        labels: (N,), 0 or 1, of validation.
        scores: (N,), probability of class 1.
        rule: see `parse_rule`.

    Returns:
        The threshold; 0.5 for every rule but a fixed one if there is only one class.

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
    if parsed.kind == "youden":  # in integers, so that ties are exact
        return float(candidates[np.argmax(true_positive * negative + true_negative * positive)])
    if parsed.kind == "sensitivity":
        return float(candidates[true_positive / positive >= parsed.value][-1])
    specific = candidates[true_negative / negative >= parsed.value]
    # In single precision, as scores are stored: the next double would round back to the score.
    return float(specific[0] if len(specific) else np.nextafter(np.float32(candidates[-1]), np.float32(2)))
