"""Compressed updates at the aggregation: what counts, what is remembered, and what a bad state costs."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helpers.federated.aggregation import weighted_mean
from helpers.federated.client_state import ClientStatePlan
from helpers.federated.compression import state_schema
from helpers.federated.messages import RoundOrder, States, TrainOrder
from helpers.federated.replies import ClientReply
from helpers.federated.strategies.base import weighted
from helpers.federated.weights import Weights, schema_of
from helpers.global_config import Config
from helpers.run_records.checkpoint import load_arrays
from helpers.run_records.files import RecordError, RunFolders
from helpers.run_records.run_log import begin_run
from helpers.weight_store.store import MemoryStore, put_arrays
from tasks.client_exchange import ClientExchange
from tasks.client_states import StatefulExchange
from tasks.round_record import forget
from tasks.update_intake import UpdateIntake
from tests.model.tasks.labels import Labels

NAMES = ["kernel", "variance"]
GLOBAL: Weights = [np.ones((2, 3), np.float32), np.array([0.5], np.float32)]
SCHEMA = schema_of(NAMES, GLOBAL)
STATE_SCHEMA = state_schema("int8", SCHEMA)
LOCAL: Weights = [GLOBAL[0] + np.array([[127, 0.4, 0], [-63, 1, 2]], np.float32), np.array([0.1], np.float32)]
SCORES = np.array([0.2, 0.6, 0.1, 0.9], np.float32)
METRICS = {"round": 1, "roc_auc": None}


def make_context(folder: Path, dtype: str) -> Any:
    config = Config(MIN_CLIENTS=1, UPDATE_DTYPE=dtype)
    return SimpleNamespace(
        config=config,
        data=Labels(40),
        instance=SimpleNamespace(schema=SCHEMA),
        state_plan=None
        if dtype == "float32"
        else ClientStatePlan.of(SCHEMA, (True, False), (False, False), config.UPDATE_DTYPE, config.strategy),
        store=MemoryStore(),
        folders=RunFolders(folder / "metrics", folder / "models"),
        key=lambda *parts, site=None: ":".join(str(part) for part in ("dt:run", *parts)),
    )


def begin(context: Any, states: States | None = None) -> RoundOrder:
    """A run before its first round; its global weights are on the disk and in the store."""
    weights = put_arrays(context.store, "dt:run:weights:0", NAMES, GLOBAL).to_message()
    order = RoundOrder("r", "s", {}, "", {}, 0, 1, [0, 1], weights, 0.0, states=states or {}, num_clients=2)
    begin_run(context.folders, order, SCHEMA, GLOBAL)
    return order


def reply_of(context: Any, order: RoundOrder, client: int, local: Weights = LOCAL) -> ClientReply:
    train, plan = TrainOrder.of(order, client), context.state_plan
    exchange = StatefulExchange(context, train) if plan else ClientExchange(context, train)
    exchange.fetch()
    key = context.key("scores", 1, client, 0)
    scores = put_arrays(context.store, key, ["scores"], [SCORES]).to_message()
    return ClientReply(
        1, client, 0, "w", "ok", None, 5, 3, 0.5, predictions=scores, **exchange.deliver(local, 3)
    )


def mean_of(intake: UpdateIntake) -> Weights:
    return weighted_mean(weighted(intake.updates(), lambda update: update.num_examples))


def put_state(context: Any, levels: Any, scale: float, key: str = "dt:run:state:1:1:0") -> dict[str, Any]:
    arrays = [np.array(levels, np.int8), np.asarray(scale, np.float32)]
    return put_arrays(context.store, key, ["kernel", "kernel.scale"], arrays).to_short()


@pytest.mark.parametrize(("dtype", "kernel"), [("float16", 0.4), ("int8", 0.0)])
def test_updates_count_as_global_weights_and_change(tmp_path: Path, dtype: str, kernel: float) -> None:
    context = make_context(tmp_path, dtype)
    order = begin(context)
    context.store.get("dt:run:weights:0", 1000)
    replies = [reply_of(context, order, client) for client in (0, 1)]
    context.store.delete(["dt:run:weights:0"])  # the aggregation reads its own checkpoint
    intake = UpdateIntake(context, order, replies)
    mean = mean_of(intake)
    expected = GLOBAL[0] + np.array([[127, kernel, 0], [-63, 1, 2]])
    np.testing.assert_allclose(mean[0], expected, rtol=1e-3)
    np.testing.assert_array_equal(mean[1], LOCAL[1])
    assert [row["status"] for row in intake.rows] == ["ok", "ok"]


def test_whole_weights_leave_no_state_and_need_no_checkpoint(tmp_path: Path) -> None:
    context = make_context(tmp_path, "float32")
    weights = put_arrays(context.store, "dt:run:weights:0", NAMES, GLOBAL).to_message()
    order = RoundOrder("r", "s", {}, "", {}, 0, 1, [0], weights, 0.0, num_clients=2)
    reply = reply_of(context, order, 0)
    assert (reply.state, reply.state_bytes, reply.bytes_up) == (None, 0, reply.bytes_down)
    intake = UpdateIntake(context, order, [reply])
    np.testing.assert_array_equal(mean_of(intake)[0], LOCAL[0])
    assert (intake.states, intake.state_files) == ({}, {})
    assert sorted(context.store.blobs) == [
        "dt:run:scores:1:0:0", "dt:run:update:1:0:0", "dt:run:weights:0"
    ]  # fmt: skip


def test_a_state_is_written_down_and_its_predecessor_forgotten(tmp_path: Path) -> None:
    context = make_context(tmp_path, "int8")
    old = {str(client): put_state(context, np.zeros((2, 3)), 0.0, f"old:{client}") for client in (0, 1)}
    order = begin(context, old)
    replies = [reply_of(context, order, 0), replace(reply_of(context, order, 1), status="failed")]
    written = len(context.store.blobs["dt:run:state:1:0:0"])
    assert replies[0].state_bytes == old["0"]["length"] + written
    intake = UpdateIntake(context, order, replies)
    list(intake.updates())
    assert intake.states == {"0": replies[0].state}
    levels, scale = load_arrays(context.folders, intake.state_files["0"], STATE_SCHEMA)
    np.testing.assert_allclose(levels * scale, [[0, 0.4, 0], [0, 0, 0]], atol=1e-6)
    forget(intake.context, intake.order, intake.rows, {**old, **intake.states})
    assert sorted(context.store.blobs) == ["dt:run:state:1:0:0", "dt:run:weights:0", "old:1"]
    forget(intake.context, intake.order, intake.rows, {})
    assert sorted(context.store.blobs) == ["dt:run:weights:0"]


def test_what_a_client_remembers_is_added_to_its_next_change(tmp_path: Path) -> None:
    context = make_context(tmp_path, "int8")
    residual = np.array([[0, 0, 0], [0, 0, 1]])
    order = begin(context, {"1": put_state(context, residual, 0.4)})
    intake = UpdateIntake(context, order, [reply_of(context, order, client) for client in (0, 1)])
    first, second = (update.weights for update in intake.updates())
    np.testing.assert_allclose((second[0] - first[0])[1], [0, 0, 0], atol=1e-5)  # 2.4 is nearest to 2
    order = replace(order, states={"1": put_state(context, residual, 0.6)})
    replies = [reply_of(context, order, client) for client in (1, 0)]
    with_it, _ = (update.weights for update in UpdateIntake(context, order, replies).updates())
    np.testing.assert_allclose((with_it[0] - first[0])[1], [0, 0, 1], atol=1e-5)


SINS = {
    "absence": lambda context: None,
    "no table": lambda context: ["key"],
    "place": lambda context: put_state(context, np.zeros((2, 3)), 0.0, "dt:run:state:1:1:1"),
    "level": lambda context: put_state(context, np.full((2, 3), -128), 1.0),
    "scale": lambda context: put_state(context, np.ones((2, 3)), float("nan")),
    "negative scale": lambda context: put_state(context, np.ones((2, 3)), -1.0),
    "shape": lambda context: put_state(context, np.zeros((3, 2)), 0.0),
    "digest": lambda context: put_state(context, np.zeros((2, 3)), 0.0) | {"sha256": "0" * 64},
    "size": lambda context: put_state(context, np.zeros((2, 3)), 0.0) | {"length": 1 << 40},
}
"""What a client may do wrong with its state: stores it and returns what it sends."""


@pytest.mark.parametrize("sin", SINS)
def test_a_bad_state_fails_its_client_which_keeps_the_old_one(tmp_path: Path, sin: str) -> None:
    context = make_context(tmp_path, "int8")
    order = begin(context)
    replies = [reply_of(context, order, client) for client in (0, 1)]
    replies[1] = replace(replies[1], state=SINS[sin](context))
    intake = UpdateIntake(context, order, replies)
    assert len(list(intake.updates())) == 1
    assert [row["status"] for row in intake.rows] == ["ok", "failed"]
    assert intake.rows[1]["error"].startswith("update refused: ")
    assert intake.states.keys() == intake.state_files.keys() == {"0"}


def test_a_bad_level_in_an_update_fails_its_client(tmp_path: Path) -> None:
    context = make_context(tmp_path, "int8")
    order = begin(context)
    replies = [reply_of(context, order, client) for client in (0, 1)]
    arrays = [np.full((2, 3), -128, np.int8), np.asarray(1, np.float32), LOCAL[1]]
    update = put_arrays(context.store, "dt:run:update:1:1:0", ["kernel", "kernel.scale", "variance"], arrays)
    replies[1] = replace(replies[1], update=update.to_message())
    intake = UpdateIntake(context, order, replies)
    assert len(list(intake.updates())) == 1
    assert "kernel: a level of -128" in intake.rows[1]["error"]
    assert intake.states.keys() == {"0"}


def test_an_aggregation_that_is_repeated_gives_the_same(tmp_path: Path) -> None:
    context = make_context(tmp_path, "int8")
    order = begin(context)
    replies = [reply_of(context, order, client) for client in (0, 1)]
    intakes = [UpdateIntake(context, order, replies) for _ in range(2)]
    for first, second in zip(*map(mean_of, intakes), strict=True):
        np.testing.assert_array_equal(first, second)
    assert intakes[0].state_files == intakes[1].state_files != {}


def test_a_state_that_cannot_be_written_down_ends_the_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context(tmp_path, "int8")
    order = begin(context)
    replies = [reply_of(context, order, client) for client in (0, 1)]

    def full(*_: Any) -> None:
        raise RecordError("disk full")

    monkeypatch.setattr("tasks.client_states.save_client_state", full)
    with pytest.raises(RecordError, match="disk full"):
        list(UpdateIntake(context, order, replies).updates())
