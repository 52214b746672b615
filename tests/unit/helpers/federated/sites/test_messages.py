"""Messages to and from sites."""

import hashlib

import pytest

from helpers.federated.messages import MessageError
from helpers.federated.sites.messages import (
    ScoreOrder,
    ScoreReply,
    SiteRoundOrder,
    SiteTestOrder,
    SiteTrainOrder,
)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


NAMES = ("benign", "malignant")


def site(name: str, **other) -> dict:
    facts = {"data_digest": digest(name), "input_shape": [16, 16, 3], "classes": list(NAMES)}
    return {"name": name, **facts, "train": [5, 6], "val": [2, 3], "test": [3, 3], **other}


FACTS = {"run": "r", "session": "s", "settings": {}, "data_digest": "", "versions": {}, "attempt": 0}
FACTS |= {"origin": "hub:/x"}


def test_a_site_is_told_its_own_digest_and_of_no_other_site() -> None:
    order = SiteRoundOrder(
        **FACTS, round=1, clients=[0, 1], weights={}, sent_at=0.0, num_clients=2, sites=[site("a"), site("b")]
    )
    training = SiteTrainOrder.at(order, 1)
    assert (training.site, training.data_digest) == ("b", digest("b"))
    assert not hasattr(training, "sites")
    scorings = ScoreOrder.for_all(order, "val", {}, 0.5)
    assert {one.origin for one in (training, *scorings)} == {"hub:/x"}  # the audit log's sender
    assert [(one.site, one.data_digest, one.job) for one in scorings] == [
        ("a", digest("a"), "score-val:1:0"), ("b", digest("b"), "score-val:1:1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [("split", "train"), ("split", "../val"), ("split", None), ("split", ["val"]), ("threshold", "0.5"),
     ("threshold", float("nan")), ("threshold", 2), ("threshold", None)],
)  # fmt: skip
def test_only_validation_and_test_are_scored_and_at_a_threshold(field: str, value) -> None:
    order = ScoreOrder(**FACTS, round=1, client=0, split="val", weights={}, threshold=0.5)
    assert ScoreOrder.from_message(order.to_message()) == order
    with pytest.raises(MessageError, match=f"ScoreOrder: {field}"):
        ScoreOrder.from_message(order.to_message() | {field: value})


def test_a_site_trains_for_its_test_only_in_a_run_with_local_models() -> None:
    for initial, local in ((None, False), (None, True), ({}, True)):
        order = SiteTestOrder(
            **FACTS | {"settings": {"LOCAL_MODELS": local}}, round=1, client=0, split="test", weights={},
            threshold=0.5, initial=initial,
        )  # fmt: skip
        assert SiteTestOrder.from_message(order.to_message()) == order
    for settings in ({"LOCAL_MODELS": False}, {}):
        with pytest.raises(MessageError, match="initial weights in a run without LOCAL_MODELS"):
            SiteTestOrder.from_message(order.to_message() | {"settings": settings})


REPLY = ScoreReply(2, 1, 0, "w", "ok", tally={}).to_message()


def test_a_good_reply_is_read_as_it_is() -> None:
    assert ScoreReply.read(2, 1, REPLY) == ScoreReply(**REPLY)


@pytest.mark.parametrize(
    "change",
    [{"round": 1}, {"client": 0}, {"attempt": -1}, {"attempt": True}, {"status": "partial"}, {"worker": 1},
     {"error": 3}, {"more": 1}],
)  # fmt: skip
def test_a_bad_reply_is_a_failed_site(change: dict) -> None:
    reply = ScoreReply.read(2, 1, REPLY | change)
    assert (reply.status, reply.round, reply.client) == ("failed", 2, 1)
    assert "not understood" in str(reply.error)
