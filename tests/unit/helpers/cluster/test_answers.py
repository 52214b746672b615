"""Answers of another form end the run in one line."""

from types import SimpleNamespace
from typing import Any

import pytest

from helpers.cluster.answers import (
    check_offer,
    check_start,
    check_test,
    read_round,
    reading_answer,
    report_clients,
)
from helpers.cluster.errors import TaskFailed
from helpers.federated.messages import StartOrder

ORDER = StartOrder("r", "s", {}, "d", {}, 0, resume=False)


@pytest.mark.parametrize("check", [check_start, check_offer, check_test])
@pytest.mark.parametrize("answer", [{}, {"state": {}}, {"test": 5}, {"test": {}}, {"round": []}])
def test_what_cannot_be_read_fails_the_task(check: Any, answer: dict[str, Any]) -> None:
    with pytest.raises(TaskFailed, match="start of run r: its answer cannot be read"), reading_answer(ORDER):
        check(answer)


@pytest.mark.parametrize("answer", [{}, dict.fromkeys(("state", "weights", "metrics", "clients"))])
def test_a_round_of_another_form_fails(answer: dict[str, Any]) -> None:
    with pytest.raises(TaskFailed, match="cannot be read"):
        read_round(ORDER, answer)


def test_refused_and_partial_clients_are_reported() -> None:
    notices: list[str] = []
    statuses = [
        ("ok", "ok"),
        ("partial", "partial"),
        ("ok", "failed"),
        ("failed", "failed"),
        (None, "failed"),
    ]
    rows = [
        {"round": 2, "client": client, "status": status, "error": "why", "num_examples": 7}
        for client, (_, status) in enumerate(statuses)
    ]
    result: Any = SimpleNamespace(clients=rows)
    report_clients(result, [{"status": replied} for replied, _ in statuses], notices.append)
    assert notices == [
        "round 2, client 1: stopped early and counts with 7 images",
        "round 2, client 2: why",
    ]
