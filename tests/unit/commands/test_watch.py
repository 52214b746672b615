"""`run.py watch`: its address, its warning, and the page in a real server."""

import json
import socket
import threading
import urllib.request

import fakeredis
import pytest

from commands import watch
from commands.watch import announce, is_loopback, listen, serve
from helpers.settings.errors import UserError


@pytest.fixture
def client() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis.from_url("redis://127.0.0.1:6379/0", server=fakeredis.FakeServer())


def test_the_page_is_for_this_machine_unless_told(client, capsys):
    announce(client, "first", "127.0.0.1", 8765)
    said = capsys.readouterr()
    assert "Run first (Redis at 127.0.0.1:6379): http://127.0.0.1:8765/\n" in said.out
    assert "ssh -N -L 8765:127.0.0.1:8765 " in said.out
    assert said.err == ""
    announce(client, "first", "0.0.0.0", 8765)
    said = capsys.readouterr()
    assert said.err.startswith("warning: the page has no login and no encryption.")
    assert "ssh" not in said.out


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("vm", False),
    ],
)
def test_addresses_that_only_this_machine_reaches(host, expected):
    assert is_loopback(host) is expected


def test_a_port_that_cannot_be_had_is_one_line():
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(
            UserError, match=rf"^--host 127\.0\.0\.1 --port {port}: Address already in use; choose others"
        ):
            listen("127.0.0.1", port)
    for host, port in (("192.0.2.1", 0), ("127.0.0.1", 70_000)):
        with pytest.raises(UserError, match=f"--port {port}"):
            listen(host, port)


def test_a_connection_that_sends_nothing_is_closed(client, monkeypatch):
    monkeypatch.setattr(watch, "CONNECTION_S", 0.1)
    listener = listen("127.0.0.1", 0)
    threading.Thread(target=serve, args=(client, "first", "127.0.0.1", listener), daemon=True).start()
    with socket.create_connection(listener.getsockname(), timeout=20) as idle:
        assert idle.recv(1) == b""


def test_several_people_watch_at_the_same_time(client):
    listener = listen("127.0.0.1", 0)
    arguments = (client, "first", "127.0.0.1", listener)
    threading.Thread(target=serve, args=arguments, daemon=True).start()
    events = f"http://127.0.0.1:{listener.getsockname()[1]}/events"
    streams = [urllib.request.urlopen(events, timeout=20) for _ in range(3)]
    for stream in streams:
        seen = json.loads(stream.readline().removeprefix(b"data: "))
        assert (seen["run"], seen["state"]) == ("first", "unknown")
        stream.close()
