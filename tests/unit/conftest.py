"""What all unit tests share."""

import os
from pathlib import Path

import pytest

from helpers.global_config import Config
from helpers.settings.errors import ConfigError


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    for name in os.environ.keys() & {"REDIS_URL"} | {name for name in os.environ if name.startswith("DT_")}:
        monkeypatch.delenv(name)
    # Nor Redis servers of commands that this checkout runs at the moment.
    monkeypatch.setattr("helpers.launcher.own_clusters.FOLDER", Path(os.devnull) / "none")


@pytest.fixture
def refused(monkeypatch):
    """Return the message about a wrong value from the environment, which names setting and value."""

    def refuse(name: str, value: str) -> str:
        monkeypatch.setenv(f"DT_{name.upper()}", value)
        with pytest.raises(ConfigError) as caught:
            Config.load()
        message = str(caught.value)
        assert message.startswith(name)
        assert value.split(",")[0] in message
        assert "\n" not in message
        return message

    return refuse
