"""SCAFFOLD's control variates by hand, and the settings it needs."""

from typing import Any

import numpy as np
import pytest

from helpers.federated.strategies.base import Update
from tests.unit.helpers.federated.strategies.crowds import update
from tests.unit.helpers.federated.strategies.rounds import make, server

SGD = {"OPTIMIZER": "sgd"}


def test_control_variates_by_hand() -> None:
    strategy = make("scaffold", **SGD)
    c_i, c = [np.array([1.0, 2.0], np.float32)], [np.array([3.0, 5.0], np.float32)]
    assert strategy.gradient_term(c_i, c)[0].tolist() == [2, 3]
    began, ended = [np.array([1.0, 1.0], np.float32)], [np.array([0.0, 2.0], np.float32)]
    # 4 steps at .5: (1, -1) / 2 is the mean direction; less the correction it is (-1.5, -3.5).
    (after,) = strategy.next_client_state(c_i, c, began, ended, num_steps=4, learning_rate=0.5)
    assert after.tolist() == [-1.5, -3.5]
    assert after.dtype == np.float32


def test_the_servers_is_the_mean_of_all_clients_seen_or_not() -> None:
    unseen = [np.zeros(3, np.float32)]
    (mean,) = make("scaffold", **SGD).shared_state(iter([[np.array([3, 6, 9], np.float32)], unseen, unseen]))
    assert mean.tolist() == [1, 2, 3]


def test_every_client_counts_alike() -> None:
    updates = [
        Update(update(1), num_examples=7, num_steps=9, num_rows=7),
        Update(update(4), num_examples=30, num_steps=1, num_rows=15),
    ]
    weights, _ = make("scaffold", **SGD).aggregate(updates, server(update(9)))
    assert weights[0].tolist() == [2.5]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {},
            "OPTIMIZER: received 'adam': STRATEGY=scaffold derives mean gradients from",
        ),
        ({**SGD, "PRECISION": "mixed_float16"}, "PRECISION: received 'mixed_float16' with STRATEGY=scaffold"),
        (
            {**SGD, "UPDATE_DTYPE": "int8"},
            "UPDATE_DTYPE: received 'int8': with STRATEGY=scaffold clients",
        ),
        ({**SGD, "MOMENTUM": 0.9}, "MOMENTUM: received 0.9: STRATEGY=scaffold derives mean gradients"),
        ({**SGD, "WEIGHT_DECAY": 0.1}, "WEIGHT_DECAY: received 0.1: STRATEGY=scaffold"),
        ({**SGD, "MAX_GRADIENT_NORM": 1.0}, "MAX_GRADIENT_NORM: received 1.0: STRATEGY=scaffold"),
        (SGD, ""),
    ],
)
def test_which_settings_it_needs(settings: dict[str, Any], said: str) -> None:
    reason = make("scaffold", **settings).check()
    assert reason.startswith(said)
    assert bool(reason) == bool(said)
