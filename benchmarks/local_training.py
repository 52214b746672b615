"""The project's local training without Celery or Redis."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.global_config import Config
from helpers.local_training.trainer import train_locally
from helpers.model_instance_helper import initial_weights, model_for
from preprocessing.feed.input_pipeline import training_batches
from preprocessing.feed.prepared_data import PreparedData
from tasks.dp_sgd import dp_sgd


class LocalTraining:
    """A worker's part of a round between fetching and storing weights.

    Args:
        folder: of the prepared arrays.
        rows: the client's training rows.
        settings: of the run, as arguments of Config.
    """

    def __init__(self, folder: Path, rows: NDArray[np.int64], settings: dict[str, Any]) -> None:
        self._config = Config.load(**settings)
        self._data = PreparedData.open(folder)
        self._rows = rows
        self._instance = model_for(self._config)
        self._weights = initial_weights(self._config)

    def epoch(self, augmentation: str = "none") -> dict[str, float]:
        """Train one epoch from new weights; return `seconds` and processor seconds `cpu`."""
        began, used = time.perf_counter(), time.process_time()
        parts: Any = SimpleNamespace(config=self._config, data=self._data)
        is_private = self._config.DP == "example"
        feed, fit = dp_sgd(parts, self._rows) if is_private else (training_batches, train_locally)
        batches = feed(
            self._data.images("train"),
            self._data.labels("train"),
            self._rows,
            batch_size=self._config.TRAIN_BATCH_SIZE,
            epochs=1,
            augmentation_name=augmentation,
            seed=[1, 2, 3],
        )
        fit(self._instance, self._weights, batches, learning_rate=self._config.learning_rate, seed=[1, 2])
        return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - used}
