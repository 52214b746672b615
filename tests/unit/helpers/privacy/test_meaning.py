"""The meaning of ε in words."""

import pytest

from helpers.privacy.meaning import meaning


@pytest.mark.parametrize(
    ("settings", "epsilon", "sentence"),
    [
        (
            {"DP": "example", "DP_UNIT": "patient", "DP_DELTA": 1e-5},
            1.0,
            "ε = 1, δ = 1e-05: with or without all training images of any one patient, the probability of "
            "any updates and models of this run differs by a factor of at most 2.7, apart from δ.",
        ),
        (
            {"DP": "client", "DP_UNIT": "image", "DP_DELTA": 1e-6},
            8.04,
            "ε = 8.04, δ = 1e-06: with or without any one client, the probability of any models of this run "
            "differs by a factor of at most e^8.04, apart from δ.",
        ),
    ],
)
def test_the_sentence(settings: dict[str, object], epsilon: float, sentence: str) -> None:
    assert meaning(settings, epsilon) == sentence
