"""A worker for lying clients: the project's own Celery app; clients of LIARS lie as STUDY_LIE says.

Started with `--app=studies.lying_clients`. The product has no hook for this: what the training task
uses is replaced in this process, once its module is there.
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
def _begin_to_lie(**_: Any) -> None:
    """After the import of the tasks, and so of TensorFlow, which the worker has made settings for."""
    train_task: Any = import_module("tasks.train_task")
    lie = os.environ.get(VARIABLE, "")
    if lie == "labels":
        train_task.training_batches = with_flipped_labels(train_task.training_batches)
    elif lie == "noise":
        train_task.train_locally = with_noise(train_task.train_locally)
    else:
        sys.exit(f"{VARIABLE}: received {lie!r}, expected labels or noise")


def with_flipped_labels(training_batches: Any) -> Any:
    """The function that makes a client's batches, but with a liar's labels flipped."""

    @wraps(training_batches)
    def batches(images: Any, labels: Any, rows: Any, *, seed: list[int], **options: Any) -> Any:
        labels = flipped(labels) if _lies(seed) else labels
        return training_batches(images, labels, rows, seed=seed, **options)

    return batches


def with_noise(train_locally: Any) -> Any:
    """The function that trains a client, but a liar's answer is noise as long as what it learned."""

    @wraps(train_locally)
    def train(instance: Any, weights: Any, batches: Any, *, seed: list[int], **options: Any) -> Any:
        update = train_locally(instance, weights, batches, seed=seed, **options)
        if not _lies(seed):
            return update
        sent = noise_for(weights, update.weights, instance.trainable, [*seed, 1])
        return replace(update, weights=sent)

    return train


def _lies(seed: list[int]) -> bool:
    """A training's seed is (SEED, round, client)."""
    return seed[2] in LIARS
