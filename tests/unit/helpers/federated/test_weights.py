"""Weights are checked against their schema."""

import numpy as np
import pytest

from helpers.federated.weights import SchemaError, check_weights, norm
from tests.weight_store_contract import ARRAYS, SCHEMA


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_must_be_finite(bad: float) -> None:
    spoiled = [ARRAYS[0].copy(), ARRAYS[1]]
    spoiled[0][1, 2] = bad
    check_weights(ARRAYS, SCHEMA)
    with pytest.raises(SchemaError, match=r"b/kernel: NaN or infinite"):
        check_weights(spoiled, SCHEMA)


def test_weights_must_fit() -> None:
    with pytest.raises(SchemaError, match="1 arrays received, the model has 2"):
        check_weights(ARRAYS[:1], SCHEMA)
    with pytest.raises(SchemaError, match=r"a/kernel: received float64\(3,\), expected float64\(2,\)"):
        check_weights([ARRAYS[0], np.zeros(3)], SCHEMA)


def test_the_norm_is_of_all_arrays_and_does_not_overflow() -> None:
    assert norm([np.array([[3.0]], np.float32), np.array(4.0, np.float32)]) == 5
    assert norm([np.full((3, 3), 3e38, np.float32)]) == pytest.approx(9e38)
