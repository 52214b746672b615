"""The average over the rounds by hand: through the checkpoint, repeated and resumed."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helpers.evaluation.metrics import evaluate
from helpers.federated.messages import Averaged, RoundOrder
from helpers.federated.weights import Weights, schema_of
from helpers.global_config import Config
from helpers.run_records.files import RunFolders
from helpers.run_records.run_log import begin_run, commit_round, resume_run
from tasks.round_ema import ema_of_round

SCHEMA = schema_of(["kernel", "variance"], [np.zeros((2, 2), np.float32), np.zeros(1, np.float32)])
VALUES = [1.0, 3.0, -2.0, 5.0]
"""What every weight is after each round."""


def weights_of(value: float) -> Weights:
    return [np.full(spec.shape, value, np.float32) for spec in SCHEMA]


def evaluation_of(_: Any, weights: Weights) -> Any:
    """Return an evaluation whose loss grows with the first weight."""
    return evaluate(np.array([0, 1]), np.array([0.5, 0.4]) + 0.01 * float(weights[0][0, 0]))


@pytest.mark.parametrize("resumed", [False, True])
def test_the_average_by_hand(tmp_path: Path, resumed: bool) -> None:
    folders = RunFolders(tmp_path / "metrics", tmp_path / "models")
    instance = SimpleNamespace(schema=SCHEMA)
    context: Any = SimpleNamespace(config=Config(EMA_DECAY=0.75), folders=folders, instance=instance)

    def order(number: int) -> RoundOrder:
        return RoundOrder("r", "s", {}, "", {}, 0, number, [0], {}, 0.0, num_clients=1)

    begin_run(folders, order(0), SCHEMA, weights_of(9))  # initial weights do not count
    expected = VALUES[0]
    for number, value in enumerate(VALUES, 1):
        expected = expected if number == 1 else 0.75 * expected + 0.25 * value
        for _ in range(2):  # an aggregation that is repeated after its commit gives the same
            ema = ema_of_round(context, order(number), weights_of(value), evaluation_of)
            np.testing.assert_allclose(ema.weights[0], expected, rtol=1e-6)
            assert ema.metrics["ema_val_loss"] == evaluation_of(None, ema.weights).metrics["val_loss"]
            row = {"round": number, "roc_auc": 0.5, "val_loss": 0.5, **ema.metrics}
            averaged = Averaged({}, row, [], {}, {}, None)
            rows = {"rounds.csv": [row]}
            state = commit_round(
                folders, order(number), SCHEMA, weights_of(value), averaged, rows, ema=ema.weights
            )
            assert state.ema_file is not None
            assert [file.name for file in folders.models.glob("ema-*")] == [state.ema_file]
        if resumed:
            assert resume_run(folders, order(0), SCHEMA)[0] == state
