"""The average over the rounds by hand: through the checkpoint, and resumed."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helpers.evaluation.metrics import Evaluation, evaluate
from helpers.federated.messages import RoundOrder
from helpers.federated.results import Averaged
from helpers.federated.weights import Weights, schema_of
from helpers.global_config import Config
from helpers.run_records.files import RunFolders
from helpers.run_records.run_log import begin_run, commit_round, resume_run
from tasks.round_ema import add_ema

SCHEMA = schema_of(["kernel", "variance"], [np.zeros((2, 2), np.float32), np.zeros(1, np.float32)])
VALUES = [1.0, 3.0, 2.0, 5.0]
"""What every weight is after each round."""


def weights_of(value: float) -> Weights:
    return [np.full(spec.shape, value, np.float32) for spec in SCHEMA]


def evaluate_weights(_: Any, weights: Weights) -> Evaluation:
    """Return an evaluation that shows the first weight."""
    score = float(weights[0].flat[0]) / 10
    return evaluate(np.array([0, 1]), np.array([0.0, score]))


@pytest.mark.parametrize("is_resumed", [False, True])
def test_the_average_by_hand(tmp_path: Path, is_resumed: bool) -> None:
    folders = RunFolders(tmp_path / "metrics", tmp_path / "models")
    instance = SimpleNamespace(schema=SCHEMA)
    context: Any = SimpleNamespace(config=Config(EMA_DECAY=0.75), folders=folders, instance=instance)

    def order(number: int) -> RoundOrder:
        return RoundOrder("r", "s", {}, "", {}, 0, number, [0], {}, 0.0, num_clients=1)

    begin_run(folders, order(0), SCHEMA, weights_of(9))  # initial weights do not count
    expected = VALUES[0]
    for number, value in enumerate(VALUES, 1):
        expected = expected if number == 1 else 0.75 * expected + 0.25 * value
        row = {"round": number, "roc_auc": 0.5, "val_loss": 0.5}
        averaged = Averaged({}, row, [], {}, {}, None)
        ema = add_ema(context, order(number), averaged, weights_of(value), evaluate_weights)
        for array in ema:
            np.testing.assert_allclose(array, expected, rtol=1e-6)
        assert row["ema_val_loss"] == pytest.approx(-np.log(expected / 10) / 2)
        assert row["ema_roc_auc"] == 1
        rows = {"rounds.csv": [row]}
        state = commit_round(folders, order(number), SCHEMA, weights_of(value), averaged, rows, ema=ema)
        assert state.ema_file is not None
        best = {state.ema_file, state.best_weights_file}
        assert {file.name for file in folders.models.glob("ema-*")} == best
        if is_resumed:
            assert resume_run(folders, order(0), SCHEMA)[0] == state
    assert state.best_round == 4  # of equal AUCs, the smallest loss
