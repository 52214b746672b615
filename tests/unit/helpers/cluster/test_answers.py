"""Answers of another form end the run in one line."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helpers.cluster.answers import (
    check_offer,
    check_start,
    check_test,
    chosen_threshold,
    read_round,
    reading_answer,
    report_clients,
)
from helpers.cluster.errors import TaskFailed
from helpers.evaluation.tallies import tally_of
from helpers.federated.messages import StartOrder
from helpers.federated.sites.messages import FinishSitesOrder, ScoreReply

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


@pytest.mark.parametrize(("with_bins", "threshold"), [(True, 0.7), (False, 0.5)])
def test_a_threshold_is_chosen_by_the_counts_of_the_sites_that_answered(
    with_bins: bool, threshold: float
) -> None:
    labels, scores = np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.7, 0.9])
    tally = tally_of(labels, scores, with_bins=with_bins).to_message()
    replies = [
        ScoreReply(3, 0, 0, "w", "ok", tally=tally).to_message(),
        ScoreReply(3, 1, 0, "w", "missing", "no reply").to_message(),
        ScoreReply(3, 2, 0, "w", "ok", tally=tally | {"bins": 7}).to_message(),
    ]
    facts = {"data_digest": "0" * 64, "input_shape": [8, 8, 3], "classes": ["a", "b"]}
    counts = {"train": [5, 5], "val": [2, 2], "test": [5, 5], "patients": []}
    sites = [{"name": name, **facts, **counts} for name in ("north", "south", "east")]
    order = FinishSitesOrder(
        "r", "s", {"THRESHOLD": "youden"}, "", {}, 0, 3, [0, 1, 2], sites, {"val": replies}, 0.5
    )
    assert chosen_threshold(order) == pytest.approx(threshold, abs=0.02)
