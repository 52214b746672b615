"""The networks of the publications."""

import pytest

from studies.published_networks import fedavg_cnn, niid_cnn


@pytest.mark.parametrize(("build", "parameters"), [(fedavg_cnn, 1_663_370), (niid_cnn, 44_426)])
def test_they_have_the_published_number_of_parameters(build, parameters):
    assert build((28, 28, 1), 10).count_params() == parameters
