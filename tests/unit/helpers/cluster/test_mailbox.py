"""Replies of sites: which of them come onto the job board."""

import json
from collections.abc import Callable
from typing import Any

import fakeredis
import pytest

from helpers.cluster import keys
from helpers.cluster.mailbox import Mailbox, SiteBoard

JOB = "train:1:0"


class Closed:
    """Envelopes that only mark letters."""

    averaging = "coordinator"

    def has_member(self, site: str) -> bool:
        return site in ("north", "south")

    def verify(self, name: str, data: bytes, signature: str) -> bool:
        return True

    def close_letter(self, mailbox: str, text: bytes) -> bytes:
        return mailbox.encode() + b"|" + text

    def open_letter(self, mailbox: str, letter: bytes) -> bytes:
        if not letter.startswith(mailbox.encode() + b"|"):
            raise ValueError("it is not closed")
        return letter[len(mailbox) + 1 :]


@pytest.fixture
def client() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis()


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def board(client: fakeredis.FakeRedis, notices: list[str]) -> SiteBoard:
    board = SiteBoard(client, "run", "s", notice=notices.append)
    board.take_over()
    board.expect({JOB: 0})
    board.site_of[JOB] = "north"
    return board


@pytest.fixture
def north(client: fakeredis.FakeRedis) -> Mailbox:
    return Mailbox(client, "run", "s", site="north")


def mail(client: fakeredis.FakeRedis, site: str = "north", **content: Any) -> None:
    """Put a letter into a mailbox by hand."""
    facts = {"site": site, "run": "run", "session": "s", "job": JOB, "attempt": 0}
    client.rpush(keys.of_session("run", "s", "mail", site=site), json.dumps(facts | content))


def test_an_answer_by_mail_counts_once(board: SiteBoard, north: Mailbox) -> None:
    assert north.expects(JOB, 0)
    assert not north.expects(JOB, 1)
    assert north.answer(JOB, 0, {"a": 1})
    assert north.answer(JOB, 0, {"a": 2})  # it cannot see that there is an answer
    assert board.answers([JOB]) == {JOB: {"a": 1}}
    assert not north.expects(JOB, 0)
    assert not north.answer(JOB, 0, {"a": 3})


def test_what_is_written_on_the_board_by_hand_does_not_count(
    client: fakeredis.FakeRedis, board: SiteBoard
) -> None:
    """The operator of Redis can write anywhere."""
    answers = keys.of_session("run", "s", "answers")
    client.hset(answers, JOB, json.dumps({"forged": 1}))
    client.hset(keys.of_session("run", "s", "attempts"), JOB, "7")
    mail(client, attempt=7, answer={"recorded": 1})
    assert board.answers([JOB]) == {}
    client.hset(answers, "average:1", json.dumps({"a": 1}))
    assert board.answers(["average:1"]) == {"average:1": {"a": 1}}  # the worker that averages has no mailbox


def test_in_a_deployment_the_averages_come_by_mail(client: fakeredis.FakeRedis, notices: list[str]) -> None:
    board = SiteBoard(client, "run", "s", notice=notices.append, envelopes=Closed())
    board.take_over()
    board.expect({"average:1": 0})
    board.site_of["average:1"] = "coordinator"
    averaging = Mailbox(client, "run", "s", site="coordinator", envelopes=Closed())
    averaging.fail("average:1", 0, "averaging@h", "full disk")
    assert board.answers(["average:1"]) == {}
    assert board.failures(["average:1"])["average:1"]["error"] == "full disk"
    averaging.answer("average:1", 0, {"a": 1})
    assert board.answers(["average:1"]) == {"average:1": {"a": 1}}
    assert notices == []


def test_a_letter_wakes_the_orchestrator_and_is_not_lost(board: SiteBoard, north: Mailbox) -> None:
    north.answer(JOB, 0, {"a": 1})
    board.wait(5)
    assert board.answers([JOB]) == {JOB: {"a": 1}}


@pytest.mark.parametrize("use", [lambda board: board.answers([JOB]), lambda board: board.wait(0.01)])
def test_a_site_that_spoils_its_mailbox_ends_no_run(
    client: fakeredis.FakeRedis, board: SiteBoard, notices: list[str], use: Callable[[SiteBoard], Any]
) -> None:
    board.expect({"train:1:1": 0})
    board.site_of["train:1:1"] = "south"
    client.set(keys.of_session("run", "s", "mail", site="north"), "x")
    use(board)
    assert notices == ["site north: its mailbox was no list; what it was is deleted"]
    Mailbox(client, "run", "s", site="south").answer("train:1:1", 0, {"a": 1})
    assert board.answers(["train:1:1"]) == {"train:1:1": {"a": 1}}


def test_a_failure_by_mail(board: SiteBoard, north: Mailbox, client: fakeredis.FakeRedis) -> None:
    north.fail(JOB, 0, "north/w@h", "no memory", is_unable=True)
    assert board.answers([JOB]) == {}
    failure = {"worker": "north/w@h", "error": "no memory"}
    assert board.failures([JOB]) == {JOB: {**failure, "is_unable": True}}
    assert not any(b"no memory" in client.dump(key) for key in client.keys("*"))  # it is kept in memory
    board.expect({JOB: 1})
    north.fail(JOB, 0, "north/w@h", "late")
    assert board.failures([JOB]) == {}


def test_a_site_that_is_no_longer_wanted_stops(board: SiteBoard, north: Mailbox) -> None:
    board.answer(JOB, 0, {"status": "missing"})  # in place of the site
    assert not north.expects(JOB, 0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"site": "south", "answer": {}}, "it is about train:1:0"),
        ({"run": "other", "answer": {}}, "another site or run"),
        ({"session": "other", "answer": {}}, "another site or run"),
        ({"job": "train:1:1", "answer": {}}, "it is about train:1:1"),
        ({"answer": 5}, "TypeError"),
        ({}, "failure"),
        ({"failure": {"worker": "south/w@h", "error": "", "is_unable": True}}, "about the worker south/w@h"),
    ],
)
def test_a_letter_that_does_not_count(
    board: SiteBoard, client: fakeredis.FakeRedis, notices: list[str], content: Any, reason: str
) -> None:
    board.site_of["train:1:2"] = "south"  # so that its mail is opened
    mail(client, **content)
    assert board.answers([JOB]) == {}
    assert board.failures([JOB]) == {}
    (notice,) = notices
    assert reason in notice


@pytest.mark.parametrize("letter", [b"", b"no JSON", b"[]", b"{}", b"5", b"\xff"])
def test_a_letter_that_cannot_be_read(
    board: SiteBoard, client: fakeredis.FakeRedis, notices: list[str], letter: bytes
) -> None:
    client.rpush(keys.of_session("run", "s", "mail", site="north"), letter, b"later")
    assert board.answers([JOB]) == {}
    assert len(notices) == 2


def test_a_letter_must_be_closed_by_its_site(client: fakeredis.FakeRedis, notices: list[str]) -> None:
    board = SiteBoard(client, "run", "s", notice=notices.append, envelopes=Closed())
    board.take_over()
    board.expect({JOB: 0})
    board.site_of[JOB] = "north"
    mail(client, answer={"forged": 1})
    assert board.answers([JOB]) == {}
    assert "not closed" in notices[0]
    Mailbox(client, "run", "s", site="north", envelopes=Closed()).answer(JOB, 0, {"a": 1})
    assert board.answers([JOB]) == {JOB: {"a": 1}}


def test_what_an_earlier_session_left_at_sites_is_deleted(
    client: fakeredis.FakeRedis, board: SiteBoard, north: Mailbox
) -> None:
    north.answer(JOB, 0, {})
    client.set(keys.of_session("run", "s", "update", 1, 0, 0, site="north"), b"")
    client.set(keys.of_session("other", "s", "update", 1, 0, 0, site="north"), b"")
    SiteBoard(client, "run", "later", notice=str).take_over(force=True)
    assert client.keys("dt:site:*") == [b"dt:site:north:other:s:update:1:0:0"]


def test_the_mail_ends_with_the_session(
    client: fakeredis.FakeRedis, board: SiteBoard, north: Mailbox
) -> None:
    north.answer(JOB, 0, {})
    board.forget([JOB])
    assert board.site_of == {}
    board.close()
    assert client.keys("dt:*") == [b"dt:run:run:session"]  # which says that the run has ended
