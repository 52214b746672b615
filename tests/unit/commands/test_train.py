"""Settings that a training from Python cannot take as arguments."""

import pytest

from distributed_training_index import train
from helpers.settings.errors import UserError


def test_the_namespace_comes_from_the_environment() -> None:
    with pytest.raises(UserError, match="NAMESPACE: set DT_NAMESPACE in the environment"):
        train("run", NAMESPACE="mine")
