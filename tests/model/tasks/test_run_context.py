"""What a task works with: which parts of the network train in a round, and what clients keep then."""

from types import SimpleNamespace
from typing import Any

import pytest

from helpers.federated.messages import Order, RoundOrder, StartOrder, TrainOrder
from helpers.global_config import Config
from helpers.local_training.client_optimizer import options_of
from tasks import run_context
from tasks.run_context import RunContext

SETTINGS = Config(
    ARCHITECTURE="mobilenet_v3_small", PRETRAINED="imagenet", INPUT_SHAPE=(32, 32), HEAD_ROUNDS=2,
    OPTIMIZER_STATE="keep",
).for_run()  # fmt: skip


def context_of(patch: pytest.MonkeyPatch, kind: type[Order], number: int) -> RunContext:
    """Return the context of an order; in place of its model stand the settings of the model."""
    session = SimpleNamespace(name="w", store=None)
    for name, value in {
        "worker_session": lambda: session,
        "_data_of": lambda *_: None,
        "_model_of": lambda config: config,
    }.items():
        patch.setattr(run_context, name, value)
    identity: tuple[Any, ...] = ("r", "s", SETTINGS, "", {}, 0)
    if kind is StartOrder:
        return RunContext.of(StartOrder(*identity, resume=False))
    order = RoundOrder(*identity, number, [0], {}, 0.0, num_clients=1)
    return RunContext.of(TrainOrder.of(order, 0) if kind is TrainOrder else order)


@pytest.mark.parametrize(
    ("kind", "number", "trains_body", "kept"),
    [
        (StartOrder, 0, True, "keep"),
        (TrainOrder, 2, False, "reset"),
        (RoundOrder, 2, True, "reset"),  # the state of the server is of all arrays
        (TrainOrder, 3, True, "keep"),
        (RoundOrder, 3, True, "keep"),
    ],
)
def test_the_head_is_trained_alone_in_the_first_rounds(
    monkeypatch: pytest.MonkeyPatch, kind: type[Order], number: int, trains_body: bool, kept: str
) -> None:
    context = context_of(monkeypatch, kind, number)
    model: Any = context.instance
    assert model.TRAIN_BODY is trains_body
    assert kept == context.config.OPTIMIZER_STATE
    assert options_of(model) == options_of(Config.from_run(SETTINGS))
