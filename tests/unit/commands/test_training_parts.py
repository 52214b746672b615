"""The job board of a run, by where its images are."""

from typing import Any

import fakeredis
import pytest

from commands.training_parts import make_board
from helpers.cluster.job_board import JobBoard
from helpers.cluster.mailbox import SiteBoard
from helpers.federated.observers import Observer
from helpers.global_config import Config
from helpers.settings.errors import ConfigError


@pytest.mark.parametrize(("settings", "kind"), [({}, JobBoard), ({"DATA_AT": "sites"}, SiteBoard)])
def test_sites_reply_by_mail(settings: dict[str, Any], kind: type) -> None:
    assert type(make_board(Config(**settings), fakeredis.FakeRedis(), "run", Observer())) is kind


def test_only_runs_of_sites_have_a_deployment() -> None:
    with pytest.raises(ConfigError, match="add --data-at sites"):
        make_board(Config(DEPLOYMENT="somewhere"), fakeredis.FakeRedis(), "run", Observer())
