"""SCAFFOLD, FedDyn and clients' own batch normalization, through the store, the intake and the checkpoint."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.federated.messages import SERVER, Reference, RoundOrder, States, TrainOrder
from helpers.federated.replies import ClientReply
from helpers.federated.results import Averaged
from helpers.federated.weights import Weights
from helpers.global_config import Config
from helpers.local_training.client_optimizer import client_optimizer, options_of
from helpers.local_training.trainer import LocalUpdate, train_locally
from helpers.model_instance_helper import ModelInstance
from helpers.run_records.checkpoint import read_state
from helpers.run_records.files import RunFolders
from helpers.run_records.run_log import begin_run, commit_round
from helpers.weight_store.store import MemoryStore, get_arrays, put_arrays
from tasks import train_task
from tasks.aggregate_task import combine
from tasks.client_states import put_shared_state, put_states
from tasks.round_record import forget, recorded_round
from tasks.run_context import _state_plan
from tasks.update_intake import UpdateIntake
from tests.model.tasks.labels import Labels

GENERATOR = np.random.default_rng(3)
POINTS = [GENERATOR.normal(size=(size, 3)).astype(np.float32) for size in (4, 6, 8)]
CLASSES = [
    (x @ np.array([1, -2, k], np.float32) > 0).astype(np.float32)[:, None] for k, x in enumerate(POINTS)
]
BATCH, RATE = 2, 0.25
W0 = np.array([[0.3], [-0.1], [0.2]])
SCORES = np.array([0.2, 0.6, 0.1, 0.9], np.float32)


class Simulation:
    """Three clients and a server in one process, around the real task, intake and checkpoint.

    Attributes:
        weights, states: the global weights, and where lies what is remembered.
        began, ended: weights before and after its last training, by client.
    """

    def __init__(
        self, patch: pytest.MonkeyPatch, folder: Path, layers: list[Any], start: Weights, **settings: Any
    ) -> None:
        self.config = Config(num_workers=3, MIN_CLIENTS=1, BASE_LR=RATE, OPTIMIZER="sgd", **settings)
        model = keras.Sequential([keras.layers.Input((3,)), *layers])
        self.instance = ModelInstance(model, client_optimizer(**options_of(self.config)))
        plan = _state_plan(self.config, self.instance)
        assert plan is not None
        self.context: Any = SimpleNamespace(
            config=self.config,
            data=Labels(60),
            worker="w",
            instance=self.instance,
            is_shared=plan.shared(self.instance.trainable),
            store=MemoryStore(),
            folders=RunFolders(folder / "metrics", folder / "models"),
            class_corrections=lambda rows: {},
            key=lambda *parts, site=None: ":".join(str(part) for part in parts),
            state_plan=plan,
        )
        self.weights = start
        self.states: States = {}
        self.began: dict[int, Weights] = {}
        self.ended: dict[int, Weights] = {}
        begin_run(self.context.folders, self._order(0, []), self.instance.schema, start)
        self._stopped: tuple[int, ...] = ()
        self._client = 0
        for name, value in {
            "RunContext": SimpleNamespace(of=self._enter),
            "RoundClock": lambda _: SimpleNamespace(started_at=0.0, now=lambda: 1.0),
            "StopCondition": self._attend,
            "worker_session": lambda: SimpleNamespace(threads=1),
            "training_batches": self._batches,
            "train_locally": self._train,
            "evaluation_batches": lambda *_: None,
            "predict_scores": lambda *_: SCORES,
        }.items():
            patch.setattr(train_task, name, value)

    def _enter(self, order: TrainOrder) -> Any:
        self._client, self.context.order = order.client, order
        return self.context

    def _attend(self, order: TrainOrder, *_: Any, num_batches: int) -> Any:
        stops = order.client in self._stopped
        return SimpleNamespace(num_batches=num_batches, go_on=lambda _: not stops, check=lambda _: None)

    def _batches(self, *_: Any, **__: Any) -> tf.data.Dataset:
        data = POINTS[self._client], CLASSES[self._client]
        return tf.data.Dataset.from_tensor_slices(data).batch(BATCH)

    def _train(self, instance: ModelInstance, weights: Weights, *rest: Any, **options: Any) -> LocalUpdate:
        update = train_locally(instance, weights, *rest, **options)
        self.began[self._client], self.ended[self._client] = weights, update.weights
        return update

    def _order(self, number: int, clients: list[int]) -> RoundOrder:
        key = self.context.key("weights", number - 1, 0)
        reference = put_arrays(self.context.store, key, self.instance.names, self.weights)
        message = reference.to_message()
        return RoundOrder(
            "r", "s", {}, "", {}, 0, number, clients, message, 0.0, states=self.states, num_clients=3
        )

    def round(self, number: int, clients: list[int], stopped: tuple[int, ...] = ()) -> list[ClientReply]:
        """Train and aggregate; a client that is stopped makes one step only."""
        order = self._order(number, clients)
        self._stopped = stopped
        replies = [train_task.train_client(TrainOrder.of(order, client)) for client in clients]
        intake = UpdateIntake(self.context, order, replies)
        self.weights, server_file = combine(self.context, order, intake)
        assert [reply.error for reply in intake.replies] == [None] * len(clients)
        row = {"round": number, "roc_auc": None}
        averaged = Averaged({}, row, [], {}, intake.state_files, server_file)
        state = commit_round(
            self.context.folders, order, self.instance.schema, self.weights, averaged, {"rounds.csv": [row]}
        )
        self.states = order.states | intake.states | put_shared_state(self.context, state)
        forget(self.context, order, intake.rows, self.states)
        return replies

    def resume(self) -> None:
        """Lose the store, and read the checkpoint back into a new one."""
        self.context.store = MemoryStore()
        state, _ = read_state(self.context.folders)
        self.states = put_states(self.context, state)


@pytest.mark.parametrize(
    ("settings", "rates"),
    [
        ({}, [RATE] * 4),
        ({"LR_SCHEDULE": "step", "LR_STEP_ROUNDS": 2, "LR_STEP_FACTOR": 0.5}, [RATE] * 2 + [RATE / 2] * 2),
    ],
)
def test_scaffold_agrees_with_algorithm_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], rates: list[float]
) -> None:
    layer = keras.layers.Dense(1, "sigmoid", use_bias=False)
    run = Simulation(monkeypatch, tmp_path, [layer], [W0.astype(np.float32)], STRATEGY="scaffold", **settings)
    x, c, c_i = W0.copy(), np.zeros((3, 1)), [np.zeros((3, 1)) for _ in range(3)]
    rounds: list[tuple[list[int], tuple[int, ...]]] = [
        ([0, 1, 2], ()),
        ([0, 2], ()),
        ([0, 1, 2], (1,)),
        ([1], ()),
    ]
    for number, ((sampled, stopped), rate) in enumerate(zip(rounds, rates, strict=True), 1):
        run.round(number, sampled, stopped)
        if number == 2:
            run.resume()
        delta_y, delta_c = [], []
        for i in sampled:
            y = x.copy()
            num_steps = 1 if i in stopped else len(POINTS[i]) // BATCH
            for k in range(num_steps):
                a, b = (
                    part[k * BATCH : (k + 1) * BATCH].astype(np.float64) for part in (POINTS[i], CLASSES[i])
                )
                gradient = a.T @ (1 / (1 + np.exp(-a @ y)) - b) / BATCH
                y = y - rate * (gradient - c_i[i] + c)
            c_plus = c_i[i] - c + (x - y) / (num_steps * rate)
            delta_y.append(y - x)
            delta_c.append(c_plus - c_i[i])
            c_i[i] = c_plus
        x = x + np.mean(delta_y, axis=0)
        c = c + len(sampled) / 3 * np.mean(delta_c, axis=0)
        np.testing.assert_allclose(run.weights[0], x, rtol=0, atol=2e-6)
    assert abs(x - W0).max() > 0.1  # something was learnt
    assert abs(c).max() > 0.05


def test_feddyn_agrees_with_algorithm_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients' inexact argmin is what their steps reach."""
    layer = keras.layers.Dense(1, "sigmoid", use_bias=False)
    alpha = 0.4
    run = Simulation(
        monkeypatch, tmp_path, [layer], [W0.astype(np.float32)], STRATEGY="feddyn", DYNAMIC_ALPHA=alpha
    )
    x, h, g = W0.copy(), np.zeros((3, 1)), [np.zeros((3, 1)) for _ in range(3)]
    rounds: list[list[int]] = [[0, 1, 2], [0, 2], [1], [0, 1, 2], [1, 2]]
    for number, sampled in enumerate(rounds, 1):
        run.round(number, sampled)
        if number == 2:
            run.resume()
        ends = []
        for i in sampled:
            y = x.copy()
            for k in range(len(POINTS[i]) // BATCH):
                a, b = (
                    part[k * BATCH : (k + 1) * BATCH].astype(np.float64) for part in (POINTS[i], CLASSES[i])
                )
                gradient = a.T @ (1 / (1 + np.exp(-a @ y)) - b) / BATCH
                y = y - RATE * (gradient - g[i] + alpha * (y - x))
            g[i] = g[i] - alpha * (y - x)
            ends.append(y)
        h = h - alpha / 3 * sum(y - x for y in ends)
        x = np.mean(ends, axis=0) - h / alpha
        np.testing.assert_allclose(run.weights[0], x, rtol=0, atol=2e-6)
        np.testing.assert_allclose(h, np.mean(g, axis=0), atol=1e-12)
    assert abs(x - W0).max() > 0.1
    assert abs(h).max() > 0.02


def test_a_client_keeps_the_momentum_of_its_own_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = keras.layers.Dense(1, "sigmoid", use_bias=False)
    settings: dict[str, Any] = {"OPTIMIZER_STATE": "keep", "MOMENTUM": 0.9}
    run = Simulation(monkeypatch, tmp_path, [layer], [W0.astype(np.float32)], **settings)
    x, velocity = W0.copy(), [np.zeros((3, 1)) for _ in range(3)]
    rounds: list[list[int]] = [[0, 1, 2], [0, 2], [0, 1, 2], [1]]
    for number, sampled in enumerate(rounds, 1):
        run.round(number, sampled)
        if number == 2:
            run.resume()
        ends = []
        for i in sampled:
            y = x.copy()
            for k in range(len(POINTS[i]) // BATCH):
                a, b = (
                    part[k * BATCH : (k + 1) * BATCH].astype(np.float64) for part in (POINTS[i], CLASSES[i])
                )
                velocity[i] = 0.9 * velocity[i] - RATE * a.T @ (1 / (1 + np.exp(-a @ y)) - b) / BATCH
                y = y + velocity[i]
            ends.append(y)
        x = np.average(ends, axis=0, weights=[len(POINTS[i]) for i in sampled])
        np.testing.assert_allclose(run.weights[0], x, rtol=0, atol=5e-6)
    assert abs(velocity[0]).max() > 0.1


def test_what_scaffold_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = keras.layers.Dense(1, "sigmoid", use_bias=False)
    run = Simulation(monkeypatch, tmp_path, [layer], [W0.astype(np.float32)], STRATEGY="scaffold")
    first = run.round(1, [0, 1])
    model = len(run.context.store.blobs["weights:0:0"])
    control = run.states[SERVER]["length"]
    state = run.states["0"]["length"]
    assert (first[0].bytes_down, first[0].state_bytes) == (model, state)  # nothing is known yet
    second = run.round(2, [0, 2])
    assert [reply.bytes_down for reply in second] == [model + control] * 2
    assert [reply.state_bytes for reply in second] == [2 * state, state]
    kept = ["shared:2", "state:1:1:0", "state:2:0:0", "state:2:2:0", "weights:1:0"]
    assert sorted(run.context.store.blobs) == kept


@pytest.mark.parametrize("settings", [{"STRATEGY": "scaffold"}, {"UPDATE_DTYPE": "int8"}])
def test_the_record_of_a_round_hands_out_the_same_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    layer = keras.layers.Dense(1, "sigmoid", use_bias=False)
    run = Simulation(monkeypatch, tmp_path, [layer], [W0.astype(np.float32)], **settings)
    run.round(1, [0, 1, 2])
    run.round(2, [0, 2])
    blobs = run.context.store.blobs
    expected = {name: bytes(blobs[reference["key"]]) for name, reference in run.states.items()}
    run.context.store = MemoryStore()
    state, _ = read_state(run.context.folders)
    answer = recorded_round(run.context, run._order(2, [0, 2]), state)
    blobs = run.context.store.blobs
    assert {name: bytes(blobs[reference["key"]]) for name, reference in answer.states.items()} == expected
    weights = get_arrays(run.context.store, Reference.from_message(answer.weights), run.instance.schema)
    np.testing.assert_array_equal(weights[0], run.weights[0])


def norm_layers() -> list[Any]:
    inner = keras.Sequential([keras.layers.Input((3,)), keras.layers.BatchNormalization(name="inner")])
    return [inner, keras.layers.Dense(1, "sigmoid"), keras.layers.BatchNormalization(name="outer")]


def test_a_client_keeps_its_own_batch_normalization(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = [np.ones((3, 1), np.float32), np.zeros(1, np.float32)]
    one = [np.ones(3, np.float32), np.zeros(3, np.float32)] * 2  # gamma, beta, mean, variance
    run = Simulation(
        monkeypatch,
        tmp_path,
        [keras.layers.BatchNormalization(), keras.layers.Dense(1, "sigmoid")],
        [one[0], one[1], one[1], one[0], *start],
        BATCH_NORM="local",
    )
    assert run.instance.normalizing == (True,) * 4 + (False,) * 2
    replies = run.round(1, [0, 1])
    assert [reply.state_bytes for reply in replies] == [
        run.states[str(client)]["length"] for client in (0, 1)
    ]
    ended = dict(run.ended)
    for index, averaged in enumerate(run.weights):  # the model that is evaluated
        np.testing.assert_allclose(averaged, (4 * ended[0][index] + 6 * ended[1][index]) / 10, atol=1e-6)
    assert (ended[0][2] != ended[1][2]).any()
    run.resume()
    run.round(2, [0, 1, 2])
    for client in (0, 1):
        for index in range(4):
            np.testing.assert_array_equal(run.began[client][index], ended[client][index])
    for index, array in enumerate(run.began[2]):  # it trains the first time
        np.testing.assert_allclose(array, (4 * ended[0][index] + 6 * ended[1][index]) / 10, atol=1e-6)
    np.testing.assert_array_equal(run.began[0][4], run.began[2][4])  # all else is shared


def test_batch_normalization_is_found_in_models_within_the_model() -> None:
    instance = ModelInstance(keras.Sequential([keras.layers.Input((3,)), *norm_layers()]))
    found = [
        name.rpartition("/")[2] for name, it in zip(instance.names, instance.normalizing, strict=True) if it
    ]
    assert sorted(found) == sorted(["gamma", "beta", "moving_mean", "moving_variance"] * 2)
