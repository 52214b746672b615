"""Honest and malicious updates, made for tests."""

import numpy as np
from hypothesis import strategies as st

from helpers.federated.weights import Weights

GENERATOR = np.random.default_rng(3)
MANY: list[Weights] = [
    [GENERATOR.standard_normal((2, 3)).astype(np.float32), GENERATOR.random(2).astype(np.float32)]
    for _ in range(7)
]
NUMBERS = st.floats(-1e3, 1e3, width=32)
ANYTHING = st.floats(-(2.0**126), 2.0**126, width=32)
VARIANCES = st.lists(st.floats(0, 1e6, width=32), min_size=4, max_size=8)
Crowd = tuple[list[Weights], list[Weights]]


def update(*values: float, statistic: float = 1.0) -> Weights:
    """Return a trainable array and a moving statistic."""
    return [np.array(values, np.float32), np.array([statistic], np.float32)]


def with_variances(variances: list[float]) -> list[Weights]:
    return [update(index, statistic=variance) for index, variance in enumerate(variances)]


def flat(weights: Weights) -> np.ndarray:
    """Return the trainable array as one float64 vector."""
    return weights[0].astype(np.float64).reshape(-1)


@st.composite
def crowds(draw: st.DrawFn, spare: int, liar: st.SearchStrategy[float]) -> Crowd:
    """Draw honest updates and malicious ones, of two coordinates; `spare` more honest, or above."""
    liars = draw(st.lists(st.tuples(liar, liar), min_size=1, max_size=3))
    least = len(liars) + spare
    honest = draw(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=least, max_size=least + 3))
    return [update(*values) for values in honest], [update(*values) for values in liars]


def mixed(honest: list[Weights], liars: list[Weights]) -> list[Weights]:
    """Return the malicious updates among the honest."""
    return [*honest[:1], *liars, *honest[1:]]


def assert_between(outcome: Weights, honest: list[Weights]) -> None:
    """Check that every coordinate is in the range of the honest ones."""
    values = np.array([flat(weights) for weights in honest])
    assert (flat(outcome) >= values.min(axis=0)).all()
    assert (flat(outcome) <= values.max(axis=0)).all()
