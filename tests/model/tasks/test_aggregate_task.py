"""A round's updates combined by STRATEGY: what the aggregation reads, writes and refuses."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helpers.evaluation.metrics import Evaluation
from helpers.federated.messages import RoundOrder
from helpers.federated.quorum import QuorumError
from helpers.federated.replies import ClientReply
from helpers.federated.strategies import STRATEGIES
from helpers.federated.weights import Weights, schema_of
from helpers.global_config import Config
from helpers.run_records.files import RunFolders
from helpers.run_records.run_log import begin_run
from helpers.run_records.tables import CLIENT_COLUMNS
from helpers.weight_store.store import MemoryStore, put_arrays
from tasks import aggregate_task, round_record
from tasks.aggregate_task import combine
from tasks.update_intake import UpdateIntake
from tests.model.tasks.labels import Labels

NAMES = ["kernel", "variance"]
GLOBAL: Weights = [np.zeros((2, 2), np.float32), np.ones(1, np.float32)]
SCHEMA = schema_of(NAMES, GLOBAL)
SCORES = np.array([0.2, 0.6, 0.1, 0.9], np.float32)
VALUES = [1.0, 2.0, 3.0, 4.0, 1000.0]
"""What every number of a client's kernel is; the last one lies."""


def make_context(folder: Path, **settings: Any) -> Any:
    return SimpleNamespace(
        config=Config(**{"num_workers": 5, "MIN_CLIENTS": 1, **settings}),
        data=Labels(50),
        instance=SimpleNamespace(schema=SCHEMA, names=NAMES),
        state_plan=None,
        is_shared=(True, False),
        store=MemoryStore(),
        folders=RunFolders(folder / "metrics", folder / "models"),
        key=lambda *parts, site=None: ":".join(str(part) for part in ("dt:run", *parts)),
    )


def reply_of(context: Any, client: int, round_number: int = 1) -> ClientReply:
    """Client 0 saw 10 images, client 1 only 1, the others 5; each made 5 steps."""
    update = [np.full((2, 2), VALUES[client], np.float32), np.full(1, client, np.float32)]
    references = [
        put_arrays(context.store, context.key(kind, round_number, client, 0), names, arrays).to_message()
        for kind, names, arrays in (("update", NAMES, update), ("scores", ["scores"], [SCORES]))
    ]
    num_examples = {0: 10, 1: 1}.get(client, 5)
    return ClientReply(round_number, client, 0, "w", "ok", None, num_examples, 5, 0.5, *references)


def begin(context: Any) -> tuple[RoundOrder, list[ClientReply]]:
    """A run before its first round, and the replies of it."""
    weights = put_arrays(context.store, "dt:run:weights:0", NAMES, GLOBAL).to_message()
    clients = context.config.clients_of(context.config.num_clients)
    order = RoundOrder("r", "s", {}, "", {}, 0, 1, clients, weights, 0.0, num_clients=len(clients))
    begin_run(context.folders, order, SCHEMA, GLOBAL)
    return order, [reply_of(context, client) for client in clients]


def combined(folder: Path, *missing: int, **settings: Any) -> Weights:
    """What a round without the missing clients gives."""
    context = make_context(folder, **settings)
    order, replies = begin(context)
    for client in missing:
        replies[client] = ClientReply(1, client, 0, "w", "missing", "no answer")
    return combine(context, order, UpdateIntake(context, order, replies))[0]


@pytest.mark.parametrize(
    ("settings", "kernel", "variance"),
    [
        ({"STRATEGY": "fedavg"}, (10 + 2 + 15 + 20 + 5000) / 26, (1 + 10 + 15 + 20) / 26),
        ({"STRATEGY": "fedavg_unweighted"}, 1010 / 5, 2),
        ({"STRATEGY": "median"}, 3, 2),
        ({"STRATEGY": "trimmed_mean"}, 3, 2),
        ({"STRATEGY": "krum"}, 2, 2),
        ({"STRATEGY": "multi_krum"}, 2.5, 2),
        ({"STRATEGY": "fedavgm", "SERVER_MOMENTUM": 0.5}, 5047 / 26, 46 / 26),
        ({"STRATEGY": "fedavgm", "SERVER_LEARNING_RATE": 0.1}, 504.7 / 26, 46 / 26),
        # m = 0.1 Δ, v = 1e-6 + 0.01 Δ² ≈ (0.1 Δ)²: a step of about the rate.
        ({"STRATEGY": "fedadam", "SERVER_LEARNING_RATE": 0.1}, 0.1, 46 / 26),
        # A change of all four numbers by x has the norm 2 x; the lie becomes (3, 3, 3, 3).
        ({"STRATEGY": "fedavg_unweighted", "MAX_UPDATE_NORM": 6}, (1 + 2 + 3 + 3 + 3) / 5, 2),
        ({"STRATEGY": "median", "MAX_UPDATE_NORM": 4}, 2, 2),
    ],
)
def test_what_a_strategy_makes_of_a_round(
    tmp_path: Path, settings: dict[str, Any], kernel: float, variance: float
) -> None:
    weights = combined(tmp_path, **settings)
    np.testing.assert_allclose(weights[0], np.full((2, 2), kernel), rtol=1e-4)
    np.testing.assert_allclose(weights[1], [variance], rtol=1e-6)
    assert {array.dtype for array in weights} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    "strategy", [name for name, kind in STRATEGIES.items() if not kind.server_state and not kind.client_state]
)
def test_a_strategy_without_a_state_writes_no_file(tmp_path: Path, strategy: str) -> None:
    context = make_context(tmp_path, STRATEGY=strategy, OPTIMIZER="sgd")
    order, replies = begin(context)
    assert combine(context, order, UpdateIntake(context, order, replies))[1] is None
    assert not list(context.folders.models.glob("server-*"))


@pytest.mark.parametrize(
    ("settings", "missing", "said"),
    [
        (
            {"STRATEGY": "krum"},
            (2,),
            r"4 usable updates of 5 clients; NUM_MALICIOUS=1: krum needs 5\. Lower",
        ),
        (
            {"STRATEGY": "multi_krum"},
            (0, 1),
            r"3 usable .* Lower .*\(client 0: no answer; client 1: no answer\)$",
        ),
        (
            {"STRATEGY": "trimmed_mean", "TRIM_FRACTION": 0.4},
            (3,),
            r"TRIM_FRACTION=0.4: trimmed_mean needs 5",
        ),
    ],
)
def test_too_few_updates_for_a_rule_name_its_setting(
    tmp_path: Path, settings: dict[str, Any], missing: tuple[int, ...], said: str
) -> None:
    with pytest.raises(QuorumError, match=said):
        combined(tmp_path, *missing, **settings)


def test_a_client_that_does_not_answer_makes_no_liar_honest(tmp_path: Path) -> None:
    """One of five is trimmed at each end even where four answered: a fifth of four is less than one."""
    weights = combined(tmp_path, 0, STRATEGY="trimmed_mean")
    np.testing.assert_array_equal(weights[0], np.full((2, 2), 3.5, np.float32))


@pytest.mark.parametrize("is_accepted", [True, False])
def test_updates_stay_until_the_answer_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_accepted: bool
) -> None:
    context = make_context(tmp_path)
    order, replies = begin(context)
    rows = [{"client": reply.client, "attempt": reply.attempt, "site": None} for reply in replies]
    answer = {"clients": rows, "states": {}} if is_accepted else None
    session = SimpleNamespace(run_order=lambda kind, message, do: answer)
    monkeypatch.setattr(aggregate_task, "worker_session", lambda: session)
    monkeypatch.setattr(aggregate_task.RunContext, "of", lambda order: context)
    before = set(context.store.blobs)
    aggregate_task.aggregate([], order.to_message())
    assert set(context.store.blobs) == ({"dt:run:weights:0"} if is_accepted else before)


@pytest.mark.parametrize("strategy", ["fedavg", "fedadam"])
def test_an_aggregation_repeated_after_its_commit_answers_with_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    context = make_context(tmp_path, STRATEGY=strategy)
    order, replies = begin(context)
    evaluations = iter([0.75, 0.5])  # as with noise, which changes
    monkeypatch.setattr(aggregate_task.RunContext, "of", lambda order: context)
    monkeypatch.setattr(
        aggregate_task, "RoundClock", lambda order: SimpleNamespace(now=lambda: 2.0, started_at=1.0)
    )
    monkeypatch.setattr(
        aggregate_task, "evaluate_weights", lambda *_: Evaluation({"roc_auc": next(evaluations)}, [], [])
    )
    monkeypatch.setattr(round_record, "new_partition", lambda *_: [])
    messages = [reply.to_message() for reply in replies]
    first = aggregate_task.aggregate_round(order, messages)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    context.store.delete([key for key in context.store.blobs if ":update:" in key])
    again = aggregate_task.aggregate_round(replace(order, attempt=1), messages)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()} == files
    assert (again.state, again.states) == (first.state, first.states)
    assert again.clients == [{name: row.get(name) for name in CLIENT_COLUMNS} for row in first.clients]
    assert again.metrics["roc_auc"] == 0.75
    assert again.weights["sha256"] == first.weights["sha256"]
    assert again.weights["key"] != first.weights["key"]  # so that a late attempt replaces nothing
    assert {first.weights["key"], again.weights["key"]} <= set(context.store.blobs)
