"""Replies: a bad one is a failed client, not an error."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.federated.replies import ClientReply, norm_limit, read_replies

GOOD = ClientReply(3, 1, 0, "w", "ok", None, 5, 1, 0.5, {"key": "u"}, {"key": "s"}).to_message()


def test_a_good_reply_is_read_as_it_is() -> None:
    assert read_replies(3, [1], [GOOD]) == [ClientReply.from_message(GOOD)]


@pytest.mark.parametrize(
    "change",
    [
        {"round": 2}, {"client": 0}, {"num_examples": "5"}, {"num_examples": -1}, {"num_examples": True},
        {"num_examples": 10**30}, {"attempt": None}, {"status": "fine"}, {"train_loss": float("nan")},
        {"train_loss": "low"}, {"seconds": float("inf")}, {"update": None}, {"predictions": None},
        {"worker": 7}, {"error": ["x"]}, {"extra": 1}, {"state_bytes": -1},
        {"update_norm": float("inf")}, {"update_norm": None},
    ],
)  # fmt: skip
def test_a_bad_reply_is_a_failed_client_and_no_error(change: dict) -> None:
    (reply,) = read_replies(3, [1], [GOOD | change])
    assert (reply.status, reply.client, reply.round) == ("failed", 1, 3)
    assert "not understood" in reply.error


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_reply_is_a_failed_client(message) -> None:
    assert read_replies(3, [1], [message])[0].status == "failed"


@given(
    st.sampled_from(sorted(GOOD)), st.none() | st.integers() | st.floats() | st.text() | st.lists(st.none())
)
def test_any_value_in_any_field_is_read_or_refused(field: str, value) -> None:
    (reply,) = read_replies(3, [1], [GOOD | {field: value}])
    assert (reply.client, reply.round) == (1, 3)


def limit(norms: list[float], ratio: float = 100, needed: int = 0) -> float:
    reply = ClientReply.from_message(GOOD)
    replies = [*(replace(reply, update_norm=norm) for norm in norms), replace(reply, status="missing")]
    return norm_limit(replies, ratio, lambda count: "too few" if count < needed else "")


def test_the_limit_of_norms_is_a_multiple_of_the_median() -> None:
    assert limit([1, 2, 1e30]) == 200
    assert limit([1, 3, 5, 1e30], ratio=10) == 40


@pytest.mark.parametrize("norms", [[], [1], [1, 1e30], [0, 0, 1e30]])
def test_two_updates_or_none_that_is_not_zero_set_no_limit(norms: list[float]) -> None:
    assert limit(norms) == math.inf


def test_a_ratio_of_zero_sets_no_limit() -> None:
    assert limit([1, 2, 1e30], ratio=0) == math.inf


def test_a_rule_that_needs_the_absurd_updates_keeps_them() -> None:
    assert limit([1, 1, 1, 1, 1e30], needed=5) == math.inf
    assert limit([1, 1, 1, 1, 1e30], needed=4) == 100
