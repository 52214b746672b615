"""A worker takes only orders for its site."""

import hashlib

import pytest

from helpers.cluster.worker_session import WorkerSession
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
