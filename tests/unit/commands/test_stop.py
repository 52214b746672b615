"""`run.py stop`, and how it finds the run."""

from functools import partial
from pathlib import Path

import fakeredis
import pytest

from commands import living_run
from commands.living_run import find_run, take_from_others
from commands.stop import stop
from helpers.cluster.errors import RedisUnreachable, RunTakenOver
from helpers.cluster.job_board import JobBoard
from helpers.cluster.ownership import take_run_over
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
    monkeypatch.setattr(living_run, "connect", lambda url: by_url[url.partition("?")[0]])
    monkeypatch.setattr(living_run, "check_reachable", lambda client: client.ping())
    monkeypatch.setattr(living_run, "own_addresses", lambda models_dir=None: [urls["own"]])
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


def test_without_any_redis_no_run_is_in_training(servers, monkeypatch):
    def refuse(client):
        raise RedisUnreachable("start it")

    monkeypatch.setattr(living_run, "own_addresses", list)
    monkeypatch.setattr(living_run, "check_reachable", refuse)
    with pytest.raises(UserError, match=r"^no run is in training on this machine; .* set REDIS_URL"):
        stop(Config(), "a")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:6379/0")
    with pytest.raises(RedisUnreachable):
        stop(Config.load(), "a")


def test_with_redis_url_no_other_server_is_asked(servers, monkeypatch):
    start(servers["own"], "b")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:6379/0")
    with pytest.raises(UserError, match="no run b"):
        stop(Config.load(), "b")


def test_a_site_is_refused():
    with pytest.raises(ConfigError, match=r"^SITE=north: only the coordinator .* run.py leave"):
        stop(Config(SITE="north"), "first")


def test_a_run_that_a_command_with_a_redis_of_its_own_trains_is_refused_or_taken(servers, monkeypatch):
    board = start(servers["own"], "a")
    monkeypatch.setattr(living_run, "take_run_over", partial(take_run_over, sleep=lambda _: board.hold()))
    with pytest.raises(ConfigError, match=r"^run a: another process is training it; .* --take-over"):
        take_from_others("a", Path("models"), force=False)
    take_from_others("b", Path("models"), force=False)
    assert board.hold()
    take_from_others("a", Path("models"), force=True)
    with pytest.raises(RunTakenOver):
        board.hold()
