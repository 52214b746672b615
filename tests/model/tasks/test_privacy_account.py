"""The account of a run: trainings that count, each client's ε, and when the budget is spent."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helpers.federated.results import RunState
from helpers.federated.sites.site import Site
from helpers.global_config import Config
from helpers.privacy.accountant import epsilon
from tasks import privacy_account
from tasks.privacy_account import account, budget_is_spent

PRIVATE = {"DP": "example", "ARCHITECTURE": "seed_cnn_groupnorm", "TRAIN_BATCH_SIZE": 10}
SITES = [
    Site(name, "d" * 64, [8, 8, 3], ["a", "b"], [count, count], [1, 1], [1, 1]).to_message()
    for name, count in (("north", 50), ("south", 100))
]
"""100 and 200 training images."""


def row(client: int, attempt: int = 0, round_number: int = 1) -> dict[str, Any]:
    return {"round": round_number, "client": client, "attempt": attempt}


def context_of(
    patch: pytest.MonkeyPatch, before: list[dict[str, Any]], num_resumes: int = 0, **settings: Any
) -> tuple[Any, RunState]:
    """Return a context whose records have these rows of clients, and the state."""
    state = RunState("r", 1, "", None, None, None, sites=SITES, num_resumes=num_resumes)
    patch.setattr(privacy_account, "read_state", lambda folders: (state, {}))
    patch.setattr(privacy_account.journal, "read_rows", lambda folders, record: before)
    return SimpleNamespace(config=Config(**PRIVATE | settings), folders=Path(), data=None), state


def spent(num_rows: int, trainings: int) -> float:
    return epsilon(1.0, 10 / num_rows, trainings * num_rows // 10, 1e-5)


def test_each_client_has_the_epsilon_of_its_trainings_and_the_round_the_largest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context, _ = context_of(monkeypatch, [row(0), row(1)], DP_NOISE_MULTIPLIER=1.0)
    clients = [row(1, round_number=2)]
    result = account(context, SimpleNamespace(round=2), clients, SITES)
    assert clients[0]["epsilon"] == spent(200, 2)
    assert result == {"epsilon": max(spent(100, 1), spent(200, 2)), "budget_is_spent": False}


def test_repeated_trainings_and_resumes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    context, _ = context_of(monkeypatch, [row(0, attempt=2)], num_resumes=1, DP_NOISE_MULTIPLIER=1.0)
    clients = [row(0, round_number=2)]
    account(context, SimpleNamespace(round=2), clients, SITES)
    assert clients[0]["epsilon"] == spent(100, 3 + 1 + 1)


def test_an_aggregation_that_is_repeated_counts_its_round_once(monkeypatch: pytest.MonkeyPatch) -> None:
    context, _ = context_of(monkeypatch, [row(0), row(0, round_number=2)], DP_NOISE_MULTIPLIER=1.0)
    clients = [row(0, round_number=2)]
    account(context, SimpleNamespace(round=2), clients, SITES)
    assert clients[0]["epsilon"] == spent(100, 2)


@pytest.mark.parametrize(("trainings", "is_spent"), [(2, False), (3, True)])
def test_the_budget_is_spent_when_another_round_would_exceed_it(
    monkeypatch: pytest.MonkeyPatch, trainings: int, is_spent: bool
) -> None:
    budget = (spent(100, 3) + spent(100, 4)) / 2
    rows = [row(0, round_number=number) for number in range(1, trainings + 1)]
    context, state = context_of(monkeypatch, rows, DP_NOISE_MULTIPLIER=1.0, DP_TARGET_EPSILON=budget)
    result = account(context, SimpleNamespace(round=trainings), [rows[-1]], SITES)
    assert result["budget_is_spent"] == is_spent
    state = RunState("r", trainings, "", None, None, None, sites=SITES)
    assert budget_is_spent(context, state) == is_spent


def test_solved_noise_lasts_for_all_rounds_of_all_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(client, round_number=number) for number in range(1, 11) for client in (0, 1)]
    context, _ = context_of(monkeypatch, rows, DP_TARGET_EPSILON=8.0, EPOCHS=10)
    before_last = account(context, SimpleNamespace(round=9), rows[16:18], SITES)
    assert not before_last["budget_is_spent"]
    last = account(context, SimpleNamespace(round=10), rows[18:], SITES)
    assert 7.9 < last["epsilon"] <= 8.0


def test_with_noise_at_the_server_rounds_count_and_the_loss_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context, _ = context_of(monkeypatch, [], DP="client", DP_NOISE_MULTIPLIER=2.0, MAX_UPDATE_RATIO=0)
    clients = [row(0), row(1)]
    result = account(context, SimpleNamespace(round=3), clients, None)
    assert result == {"epsilon": epsilon(2.0, 1.0, 3, 1e-5), "budget_is_spent": False, "train_loss": None}
    assert [each["epsilon"] for each in clients] == [result["epsilon"]] * 2
