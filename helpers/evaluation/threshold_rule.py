"""Rules for choosing the decision threshold, in the syntax of the setting THRESHOLD.

This module needs only the standard library, so that the settings and `--help` load quickly.
"""

import re
from dataclasses import dataclass

WITHOUT_CHOICE = 0.5
ALLOWED = "a number between 0 and 1 such as 0.5, youden, sensitivity>=0.90, specificity>=0.90"
_AT_LEAST = re.compile(r"(sensitivity|specificity)\s*>=\s*(.+)")


@dataclass(frozen=True)
class Rule:
    """A rule for choosing the threshold.

    Attributes:
        kind: `fixed`, `youden`, `sensitivity` or `specificity`.
        value: in (0, 1); the threshold of `fixed`, the minimum of `sensitivity` and `specificity`;
            unused by `youden`.
    """

    kind: str
    value: float = WITHOUT_CHOICE


def parse_rule(text: str) -> Rule:
    """Parse the value of the setting THRESHOLD.

    Raises:
        ValueError: it is not a rule; the message lists the rules.
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


def is_rule(text: str) -> bool:
    """Return whether `parse_rule` accepts a text."""
    try:
        parse_rule(text)
    except ValueError:
        return False
    return True


def without_choice(text: str) -> float:
    """Return the threshold without scores to choose it from: a rule's fixed number, else 0.5.

    Raises:
        ValueError: as `parse_rule`.
    """
    rule = parse_rule(text)
    return rule.value if rule.kind == "fixed" else WITHOUT_CHOICE
