"""Absurd norms: which updates are refused, and where none is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.federated.messages import MessageError
from helpers.federated.replies import ClientReply
from helpers.federated.update_norms import NormCheck, change_norm, norm_to_report
from helpers.federated.weights import Weights

REPLY = ClientReply(1, 0, 0, "w", "ok")
START = [np.zeros(2, np.float32), np.zeros((), np.float32)]


def update(size: float) -> Weights:
    return [np.array([3, 4], np.float32) * np.float32(size / 5), np.zeros((), np.float32)]


def refused(sizes: list[float], ratio: float = 1000, needs: int = 0) -> list[int]:
    """Return the clients whose update is refused; the strategy needs so many updates."""
    replies = [
        replace(REPLY, client=i, update_norm=change_norm(update(s), START)) for i, s in enumerate(sizes)
    ]
    norms = NormCheck(replies, ratio, lambda count: "too few" if count < needs else "")
    clients = []
    for reply in replies:
        try:
            if norms.is_active:
                norms.check(reply, update(sizes[reply.client]), START)
        except MessageError:
            clients.append(reply.client)
    return clients


def test_the_norm_is_of_all_arrays_and_does_not_overflow() -> None:
    assert change_norm([np.array([3.0]), np.array(4.0)], [np.zeros(1), np.zeros(())]) == 5
    assert change_norm([np.full(9, 3e38, np.float32)], [np.zeros(9, np.float32)]) == pytest.approx(9e38)


def test_a_norm_that_is_not_finite_is_reported_as_zero() -> None:
    assert norm_to_report([np.array([np.nan])], [np.zeros(1)]) == 0


@pytest.mark.parametrize("bad", [1e30, 1001 * 2])
def test_an_absurd_update_is_refused(bad: float) -> None:
    assert refused([1, 2, bad]) == [2]
    assert refused([bad, 2, 2, 1]) == [0]


def test_fewer_than_three_or_no_limit_refuse_nothing() -> None:
    assert refused([1, 1e30]) == refused([1, 2, 1e30], ratio=0) == []


def test_without_a_median_nothing_is_absurd() -> None:
    assert refused([0, 0, 1e30]) == []


def test_a_strategy_that_cannot_do_without_them_keeps_absurd_updates() -> None:
    assert refused([1, 1, 1, 1, 1e30], needs=5) == []
    assert refused([1, 1, 1, 1, 1e30], needs=4) == [4]


@given(st.lists(st.floats(0.01, 9.0), min_size=1, max_size=8))
def test_ordinary_updates_are_never_refused(sizes: list[float]) -> None:
    assert refused(sizes) == []
