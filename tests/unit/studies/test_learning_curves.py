"""Learning curves over seeds."""

import numpy as np

from studies.learning_curves import range_over_seeds
from tests.unit.studies.made_up_outcomes import made_up


def test_curves_are_mean_and_range_of_the_seeds():
    low, mean, high = range_over_seeds([made_up(validation=(0.2, 0.4, 0.9)), made_up(validation=(0.6, 0.6))])
    assert np.allclose([low, mean, high], [[0.2, 0.4], [0.4, 0.5], [0.6, 0.6]])
