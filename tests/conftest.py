"""What all tests share."""

import pytest
from hypothesis import settings

from helpers.settings.base import config_of_run

# How long an example takes says something about the machine, not about what is tested.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(autouse=True)
def _no_remembered_config():
    """Forget the configs of runs: tests change the environment, which a real process cannot."""
    config_of_run.cache_clear()
