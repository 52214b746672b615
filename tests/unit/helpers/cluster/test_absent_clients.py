"""What the terminal says about clients that do not count, or not with all their images."""

from types import SimpleNamespace
from typing import Any

from helpers.cluster.absent_clients import AbsentClients, RoundTerms


def test_refused_and_partial_clients_are_reported() -> None:
    notices: list[str] = []
    absent_clients = AbsentClients(None, RoundTerms(10, 1, 10), notices.append)  # type: ignore[arg-type]
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
    absent_clients.report(result, [{"status": replied} for replied, _ in statuses])
    assert notices == [
        "round 2, client 1: stopped early and counts with 7 images",
        "round 2, client 2: why",
    ]
