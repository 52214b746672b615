"""Replies: a bad one is a failed client, not an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.federated.replies import ClientReply, read_replies

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
