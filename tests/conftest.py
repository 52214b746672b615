"""The option `--long` and the profiles of hypothesis, for all tests."""

import pytest
from hypothesis import settings

from helpers.settings.base import config_of_run

# The time of an example depends on the machine, not on what is tested.
settings.register_profile("no deadline", deadline=None)
settings.register_profile("long", deadline=None, max_examples=1000)
settings.load_profile("no deadline")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run all tests, and more examples of each property")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--long"):
        settings.load_profile("long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests marked `long`, unless `--long` is given."""
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


@pytest.fixture(autouse=True)
def _no_remembered_config():
    """Forget the configs of runs: tests change the environment, which a real process cannot."""
    config_of_run.cache_clear()
