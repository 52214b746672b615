"""A worker takes only orders for its site, and none of another checkout on its machine."""

import hashlib
import socket

import pytest

from helpers.cluster.versions import ROOT, origin_here
from helpers.cluster.worker_session import OtherCheckout, WorkerSession
from helpers.federated.messages import FinishOrder, MessageError


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


NAMES = ("benign", "malignant")


def site(name: str, **other) -> dict:
    facts = {"data_digest": digest(name), "input_shape": [16, 16, 3], "classes": list(NAMES)}
    return {"name": name, **facts, "train": [5, 6], "val": [2, 3], "test": [3, 3], **other}


FACTS = {"run": "r", "session": "s", "settings": {}, "data_digest": "", "versions": {}, "attempt": 0}


@pytest.mark.parametrize(
    ("here", "there", "is_taken"),
    [("a", "a", True), ("", "", True), ("a", "b", False), ("a", "", False), ("", "a", False)],
)
def test_a_worker_takes_orders_of_its_site_alone(here: str, there: str, is_taken: bool) -> None:
    about = site(here) if here else None
    session = WorkerSession("w", "redis://127.0.0.1:1/0", threads=1, site=about)
    order = FinishOrder(**FACTS, site=there)
    if is_taken:
        session.check_site(order)
    else:
        with pytest.raises(MessageError, match="the order is for"):
            session.check_site(order)


@pytest.mark.parametrize(
    ("origin", "site", "is_taken"),
    [
        (origin_here(), "", True),
        ("", "", True),
        ("another-host:/elsewhere", "", True),
        (f"{socket.gethostname()}:/elsewhere", "a", True),
        (f"{socket.gethostname()}:/elsewhere", "", False),
    ],
)
def test_a_worker_takes_no_order_of_another_checkout_on_its_machine(
    origin: str, site: str, is_taken: bool
) -> None:
    session = WorkerSession("w", "redis://127.0.0.1:1/0", threads=1)
    order = FinishOrder(**FACTS, site=site, origin=origin)
    if is_taken:
        session.check_checkout(order)
    else:
        with pytest.raises(OtherCheckout, match=f"w works in {ROOT}, the run in /elsewhere on the same"):
            session.check_checkout(order)
