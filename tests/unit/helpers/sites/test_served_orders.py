"""Replayed and late orders."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from helpers.federated.sites.messages import ScoreOrder
from helpers.sites.policy import OrderRefused
from helpers.sites.served_orders import ServedOrders

FACTS: dict[str, Any] = {"session": "s", "settings": {}, "data_digest": "", "versions": {}, "attempt": 0}


def order(serial: int, run: str = "r", seconds: float = 60.0) -> ScoreOrder:
    return ScoreOrder(
        run=run, **FACTS, round=1, client=0, split="val", weights={}, threshold=0.5, serial=serial,
        expires_at=time.time() + seconds,
    )  # fmt: skip


def why_refused(served: ServedOrders, order: ScoreOrder) -> str:
    try:
        served.check(order)
    except OrderRefused as refused:
        return str(refused)
    return ""


def test_only_newer_orders_of_a_run_are_served(tmp_path: Path) -> None:
    served = ServedOrders(tmp_path)
    assert why_refused(served, order(5)) == ""
    assert "replay" in why_refused(served, order(5))
    assert "replay" in why_refused(served, order(4))
    assert why_refused(served, order(4, run="other")) == ""
    assert why_refused(served, order(6)) == ""


def test_a_restarted_worker_remembers(tmp_path: Path) -> None:
    assert why_refused(ServedOrders(tmp_path / "new"), order(5)) == ""
    assert "replay" in why_refused(ServedOrders(tmp_path / "new"), order(5))


def test_two_workers_never_serve_the_same_order(tmp_path: Path) -> None:
    workers = [ServedOrders(tmp_path) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        for serial in range(1, 20):
            answers = list(threads.map(lambda worker, n=serial: why_refused(worker, order(n)), workers))
            assert answers.count("") == 1


def test_an_expired_order_is_refused_and_does_not_count(tmp_path: Path) -> None:
    served = ServedOrders(tmp_path)
    assert "expired 30 s ago" in why_refused(served, order(9, seconds=-30))
    assert why_refused(served, order(8)) == ""


def test_an_order_without_a_serial_number_is_refused(tmp_path: Path) -> None:
    own: Any = {name: value for name, value in vars(order(1)).items() if name not in ("serial", "expires_at")}
    assert "expired" in why_refused(ServedOrders(tmp_path), ScoreOrder(**own))
