"""The feed of a run: entries in order, each once, also after Redis was away, and whatever others wrote."""

import fakeredis
import pytest

from helpers.cluster import keys
from helpers.cluster.mailbox import OpenLetters
from helpers.cluster.run_feed import MOST_BYTES, RunFeed


@pytest.fixture
def client() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis()


def test_entries_are_read_once_and_in_order(client: fakeredis.FakeRedis) -> None:
    feed = RunFeed(client, "r")
    assert (feed.began(), feed.read()) == (0, ([], ""))
    feed.add("started", rounds=3)
    feed.add("notice", text="näher <b>")
    entries, last = feed.read()
    assert [(entry["event"], entry.get("text")) for entry in entries] == [
        ("started", None), ("notice", "näher <b>"),
    ]  # fmt: skip
    assert entries[0]["time"] == feed.began() > 1e12
    assert feed.read(last) == ([], last)
    feed.add("round", round=1)
    assert [entry["event"] for entry in feed.read(last)[0]] == ["round"]
    assert 0 < client.ttl(keys.feed("r")) <= keys.LIFETIME_S


def test_a_sealed_feed_is_read_by_who_can_open_it(client: fakeredis.FakeRedis) -> None:
    class Reversed(OpenLetters):
        def close_letter(self, mailbox: str, text: bytes) -> bytes:
            return mailbox.encode() + text[::-1]

        def open_letter(self, mailbox: str, letter: bytes) -> bytes:
            return letter.removeprefix(mailbox.encode())[::-1]

    RunFeed(client, "r", Reversed()).add("notice", text="secret")
    assert b"secret" not in client.dump(keys.feed("r"))
    assert RunFeed(client, "r").read()[0] == []
    (entry,), _ = RunFeed(client, "r", Reversed()).read()
    assert entry["text"] == "secret"


def test_what_redis_did_not_accept_is_sent_later() -> None:
    server = fakeredis.FakeServer()
    feed = RunFeed(fakeredis.FakeRedis(server=server), "r")
    server.connected = False
    feed.add("notice", text="lost")
    server.connected = True
    feed.add("notice", text="found")
    assert [entry["text"] for entry in feed.read()[0]] == ["lost", "found"]


@pytest.mark.parametrize(
    "fields",
    [
        {"other": "{}"},
        {"entry": "no JSON"},
        {"entry": b"\xff"},
        {"entry": "[]"},
        {"entry": "[" * 100_000},
        {"entry": '{"text": "' + "x" * MOST_BYTES + '"}'},
    ],
)
def test_an_entry_of_a_stranger_is_left_out(client: fakeredis.FakeRedis, fields: dict[str, str]) -> None:
    feed = RunFeed(client, "r")
    client.xadd(keys.feed("r"), fields)
    assert feed.read()[0] == []
    feed.add("notice", text="ours")
    assert len(feed.read()[0]) == 1


def test_numbers_are_finite(client: fakeredis.FakeRedis) -> None:
    client.xadd(keys.feed("r"), {"entry": '{"a": NaN, "b": 1e999, "c": -Infinity, "d": 0.5}'})
    ((entry,), _) = RunFeed(client, "r").read()
    assert [entry[name] for name in "abcd"] == [None, None, None, 0.5]
