"""`run.py stop`, and how it finds the run."""

import fakeredis
import pytest

from commands import living_run
from commands.living_run import find_run
from commands.stop import stop
from helpers.cluster.job_board import JobBoard
from helpers.global_config import Config
from helpers.settings.errors import ConfigError, UserError


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> dict[str, fakeredis.FakeRedis]:
    """Two servers: the usual one, and one that a command has started."""
    urls = {"usual": "redis://127.0.0.1:6379/0", "own": "redis://127.0.0.1:7000/0"}
    clients = {
        name: fakeredis.FakeRedis.from_url(url, server=fakeredis.FakeServer()) for name, url in urls.items()
    }
    by_url = {urls[name]: client for name, client in clients.items()}
    monkeypatch.setattr(living_run, "connect", by_url.__getitem__)
    monkeypatch.setattr(living_run, "check_reachable", lambda client: client.ping())
    monkeypatch.setattr(living_run, "own_addresses", lambda: [urls["own"]])
    return clients


def start(client: fakeredis.FakeRedis, run: str) -> JobBoard:
    board = JobBoard(client, run, "s")
    board.take_over(force=True)
    return board


@pytest.mark.parametrize("where", ["usual", "own"])
def test_a_living_run_is_asked_to_stop(servers, where, capsys):
    board = start(servers[where], "first")
    stop(Config(), "first")
    assert board.is_asked_to_stop()
    port = {"usual": 6379, "own": 7000}[where]
    assert capsys.readouterr().out == (
        f"Run first (Redis at 127.0.0.1:{port}) ends after its current round.\n"
    )


def test_a_run_that_is_not_in_training(servers):
    start(servers["usual"], "a")
    start(servers["own"], "b").close()
    with pytest.raises(
        UserError, match=r"^no run b is in training with Redis at .*7000, .*6379; in training: a\."
    ):
        stop(Config(), "b")
    assert find_run(Config(), "b", also_ended=True) == (servers["own"], "b")
    with pytest.raises(UserError, match="no run c is in training"):
        find_run(Config(), "c", also_ended=True)


def test_without_a_name_the_newest_is_found(servers):
    with pytest.raises(UserError, match=r"^no run is in training with Redis at .*; in training: none\."):
        find_run(Config(), "")
    start(servers["usual"], "a")
    assert find_run(Config(), "") == (servers["usual"], "a")
    start(servers["own"], "b")
    assert find_run(Config(), "") == (servers["own"], "b")


def test_a_server_that_is_gone_is_passed_over(servers):
    servers["own"].connection_pool.connection_kwargs["server"].connected = False
    start(servers["usual"], "a")
    assert find_run(Config(), "a")[1] == "a"


def test_with_redis_url_no_other_server_is_asked(servers, monkeypatch):
    start(servers["own"], "b")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:6379/0")
    with pytest.raises(UserError, match="no run b"):
        stop(Config.load(), "b")


def test_a_site_is_refused():
    with pytest.raises(ConfigError, match=r"^SITE=north: only the coordinator .* run.py leave"):
        stop(Config(SITE="north"), "first")
