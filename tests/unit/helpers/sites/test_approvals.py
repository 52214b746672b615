"""Runs that ask for approval."""

from pathlib import Path

import pytest

from helpers.federated.messages import FinishOrder, Order
from helpers.sites.approvals import Approvals
from helpers.sites.policy import OrderRefused


def order(run: str, **settings: int) -> Order:
    return FinishOrder(run, "s", settings, "", {}, 0, site="north")


def test_a_run_is_refused_until_it_is_approved_with_exactly_its_settings(tmp_path: Path) -> None:
    approvals = Approvals(tmp_path / "north")
    with pytest.raises(OrderRefused, match=r"`python run\.py approve first`"):
        approvals.check(order("first", EPOCHS=3))
    assert approvals.waiting() == ["first"]
    assert approvals.asked("first") == {"EPOCHS": 3}
    approvals.approve("first", {"EPOCHS": 3})
    assert approvals.waiting() == []
    approvals.check(order("first", EPOCHS=3))
    with pytest.raises(OrderRefused):
        approvals.check(order("first", EPOCHS=4))
    with pytest.raises(OrderRefused):
        approvals.check(order("second", EPOCHS=3))
    assert approvals.waiting() == ["first", "second"]


def test_senders_cannot_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Approvals, "MOST", 2)
    approvals = Approvals(tmp_path)
    for number in range(4):
        with pytest.raises(OrderRefused):
            approvals.check(order(f"run{number}"))
    with pytest.raises(OrderRefused):
        approvals.check(order("run1", EPOCHS=5))
    assert approvals.waiting() == ["run0", "run1"]
    assert approvals.asked("run1") == {"EPOCHS": 5}
