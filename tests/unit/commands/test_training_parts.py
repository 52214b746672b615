"""The job board of a run, by where its images are."""

from typing import Any

import fakeredis
import pytest

from commands import training_parts
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


@pytest.mark.parametrize(("kind", "number"), [("example", 30), ("client", 4)])
def test_a_delta_that_protects_nobody_is_refused(
    monkeypatch: pytest.MonkeyPatch, kind: str, number: int
) -> None:
    monkeypatch.setattr(training_parts, "partition", lambda *_: [range(20), range(30)])
    monkeypatch.setattr(training_parts, "count_clients", lambda *_: 4)
    config = Config(
        DP=kind, DP_NOISE_MULTIPLIER=1, DP_DELTA=0.5, ARCHITECTURE="seed_cnn_groupnorm", MAX_UPDATE_RATIO=0,
        NUM_CLIENTS=4,
    )  # fmt: skip
    with pytest.raises(ConfigError, match=f"^DP_DELTA: received 0.5, expected below 1 / {number}, for"):
        training_parts.announce_privacy(config, object(), print)  # type: ignore[arg-type]
