"""A worker for malicious clients: the project's Celery app, in which clients of LIARS attack.

Started with `--app=studies.lying_clients`. STUDY_LIE names the attack. The product has no hook for this:
functions of the training task are replaced in this process after the import of its module.
"""

import os
import sys
from dataclasses import replace
from functools import wraps
from importlib import import_module
from typing import Any

from celery.signals import worker_init

from celery_app import app
from studies.lies import LIARS, VARIABLE, flipped, noise_for

__all__ = ["app"]


@worker_init.connect
def _replace_functions(**_: Any) -> None:
    """Replace functions of the training task. The worker has imported it and TensorFlow by now."""
    train_task: Any = import_module("tasks.train_task")
    lie = os.environ.get(VARIABLE, "")
    if lie == "labels":
        train_task.training_batches = with_flipped_labels(train_task.training_batches)
    elif lie == "noise":
        train_task.train_locally = with_noise(train_task.train_locally)
    else:
        sys.exit(f"{VARIABLE}: received {lie!r}, expected labels or noise")


def with_flipped_labels(training_batches: Any) -> Any:
    """Return `training_batches` with the labels of malicious clients flipped."""

    @wraps(training_batches)
    def batches(images: Any, labels: Any, rows: Any, *, seed: list[int], **options: Any) -> Any:
        labels = flipped(labels) if _is_malicious(seed) else labels
        return training_batches(images, labels, rows, seed=seed, **options)

    return batches


def with_noise(train_locally: Any) -> Any:
    """Return `train_locally` with the updates of malicious clients replaced by noise."""

    @wraps(train_locally)
    def train(instance: Any, weights: Any, batches: Any, *, seed: list[int], **options: Any) -> Any:
        update = train_locally(instance, weights, batches, seed=seed, **options)
        if not _is_malicious(seed):
            return update
        sent = noise_for(weights, update.weights, instance.trainable, [*seed, 1])
        return replace(update, weights=sent)

    return train


def _is_malicious(seed: list[int]) -> bool:
    """Check the client of a training's seed, which is (SEED, round, client)."""
    return seed[2] in LIARS
