"""Class priors as logits, by hand."""

import numpy as np
import pytest

from helpers.federated.logit_adjustment import prior_logits


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((10, 10), [0]),
        ((9, 29), [np.log(29.5 / 9.5)]),
        ((3, 0), [np.log(0.5 / 3.5)]),
        ((0, 1, 3), np.log(np.array([0.5, 1.5, 3.5]) / 5.5)),
    ],
)
def test_priors_by_hand(counts: tuple[int, ...], expected: list[float]) -> None:
    logits = prior_logits(counts)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-6)
