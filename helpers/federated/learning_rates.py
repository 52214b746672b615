"""Learning-rate schedules over rounds: pure functions of (round, rounds), so that every client knows its rate
from its order.
"""

import math
from typing import Literal

Schedule = Literal["constant", "cosine", "step"]


def rate_factor(
    schedule: Schedule,
    round_number: int,
    rounds: int,
    *,
    warmup_rounds: int = 0,
    step_rounds: int = 10,
    step_factor: float = 0.1,
) -> float:
    """Return what the learning rate is multiplied by in a round, > 0 and at most 1.

    Args:
        schedule: `constant` stays at 1, `cosine` falls along half a cosine toward 0 after the last round
            (Loshchilov and Hutter 2017, "SGDR", equation 5), `step` is multiplied by `step_factor` every
            `step_rounds` rounds.
        round_number: 1, 2, …
        rounds: number of the last round.
        warmup_rounds: rounds with a linearly growing rate before the schedule begins (Goyal et al. 2017,
            "Accurate, Large Minibatch SGD", section 2.2); fewer than `rounds`.
        step_rounds, step_factor: of `step`.
    """
    if round_number <= warmup_rounds:
        return round_number / (warmup_rounds + 1)
    done = round_number - 1 - warmup_rounds
    match schedule:
        case "cosine":
            return (1 + math.cos(math.pi * done / (rounds - warmup_rounds))) / 2
        case "step":
            return step_factor ** (done // step_rounds)
        case "constant":
            return 1.0
