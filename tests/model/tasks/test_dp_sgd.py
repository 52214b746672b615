"""What takes the place of feed and training with `DP=example`."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helpers.global_config import Config
from tasks import dp_sgd

PRIVATE: dict[str, Any] = {
    "DP": "example",
    "DP_NOISE_MULTIPLIER": 1.0,
    "ARCHITECTURE": "seed_cnn_groupnorm",
    "MAX_UPDATE_RATIO": 0.0,
}


def test_augmentation_and_dropout_do_not_follow_from_the_seed_of_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeds = []
    for name in ("private_batches", "train_privately"):
        monkeypatch.setattr(dp_sgd, name, lambda *arguments, seed, **options: seeds.append(seed))
    context: Any = SimpleNamespace(config=Config(**PRIVATE), data=None)
    for _ in range(2):
        for function in dp_sgd.dp_sgd(context, np.arange(40)):
            function(seed=[1, 2, 3])
    assert [1, 2, 3] not in seeds
    assert seeds[0] == seeds[1] != seeds[2]
    assert seeds[0][0] > 2**64  # 128 bits of the operating system
