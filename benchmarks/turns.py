"""Contenders side by side: each once a turn."""

from collections.abc import Callable, Mapping
from typing import TypeVar

Answer = TypeVar("Answer")


def in_turn(
    contenders: Mapping[str, Callable[[], Answer]],
    turns: int,
    tell: Callable[[str, Answer], None] = lambda name, answer: None,
) -> dict[str, list[Answer]]:
    """Let every contender do its thing once a turn; who begins, changes from turn to turn.

    So what else the machine does, and how warm it is, meets all of them alike.

    Args:
        contenders: by name.
        turns: how many.
        tell: given every answer as it comes.

    Returns:
        the answers of each, a turn each.
    """
    answers: dict[str, list[Answer]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(turns):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            answer = contenders[name]()
            answers[name].append(answer)
            tell(name, answer)
    return answers
