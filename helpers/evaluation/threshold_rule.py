"""The rule by which the decision threshold is chosen, as the setting THRESHOLD names it.

Standard library alone: the settings read it too, and `--help` must answer at once.
"""

import re
from dataclasses import dataclass

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


def without_choice(text: str) -> float:
    """The threshold where no scores are there to choose one by: a rule's fixed number, else 0.5.

    Raises:
        ValueError: as `parse_rule`.
    """
    rule = parse_rule(text)
    return rule.value if rule.kind == "fixed" else WITHOUT_CHOICE
