"""FedAdagrad: the paper's formula."""

import math

from tests.unit.helpers.federated.strategies.rounds import (
    BETA_1,
    RATE,
    RATES,
    TAU,
    assert_is_the_papers,
    make,
)


def test_three_rounds_are_the_papers() -> None:
    def rule(delta: float, m: float, v: float) -> tuple[float, float, float]:
        m = BETA_1 * m + (1 - BETA_1) * delta
        v = v + delta * delta
        return RATE * m / (math.sqrt(v) + TAU), m, v

    assert_is_the_papers(make("fedadagrad", **RATES), rule)
