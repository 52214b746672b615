"""FedAdam: the paper's formula."""

import math

import pytest

from tests.unit.helpers.federated.strategies.rounds import (
    BETA_1,
    BETA_2,
    MEANS,
    RATE,
    RATES,
    TAU,
    assert_is_the_papers,
    make,
    server_path,
)


def test_three_rounds_are_the_papers() -> None:
    def rule(delta: float, m: float, v: float) -> tuple[float, float, float]:
        m = BETA_1 * m + (1 - BETA_1) * delta
        v = BETA_2 * v + (1 - BETA_2) * delta * delta
        return RATE * m / (math.sqrt(v) + TAU), m, v

    assert_is_the_papers(make("fedadam", **RATES), rule)


def test_the_first_step_by_hand() -> None:
    # Δ = .2: m = .4 · .2 = .08, v = .8 · .0004 + .2 · .04 = .00832.
    ((weights, _),) = server_path(make("fedadam", **RATES), MEANS[:1])
    assert weights[0][0] == pytest.approx(1 + 0.3 * 0.08 / (math.sqrt(0.00832) + 0.02), rel=1e-12)
