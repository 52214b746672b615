"""Turns: each contender runs once in every turn."""

from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)
Answer = TypeVar("Answer")


def in_turn(
    contenders: Mapping[Name, Callable[[], Answer]],
    turns: int,
    on_answer: Callable[[Name, Answer], None] = lambda name, answer: None,
) -> dict[Name, list[Answer]]:
    """Run every contender once in each turn, beginning with another one each time.

    So other load and the temperature of the machine affect all alike.

    Args:
        contenders: by name.
        turns: their number.
        on_answer: receives the name of a contender and each answer.

    Returns:
        the answers of each contender, one for each turn.
    """
    answers: dict[Name, list[Answer]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(turns):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            answer = contenders[name]()
            answers[name].append(answer)
            on_answer(name, answer)
    return answers
