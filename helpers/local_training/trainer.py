"""Local training of one client, and predictions."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.federated.weights import Weights
from helpers.model_instance_helper import NO_STATE, ModelInstance
from helpers.settings.errors import DIVERGED

NO_TERMS: Mapping[str, NDArray[np.generic]] = {}


@dataclass(frozen=True)
class LocalUpdate:
    """Result of a local training.

    Attributes:
        weights: arrays in model order.
        num_batches: training steps made.
        loss: mean cross-entropy over the images, as training went on. It has no class weights, so that it can
            be compared with the validation loss. None after a private training.
    """

    weights: Weights
    num_batches: int
    loss: float | None


def train_locally(
    instance: ModelInstance,
    weights: Weights,
    batches: Iterable[tuple[Any, Any]],
    *,
    learning_rate: float,
    seed: list[int],
    class_weight: dict[int, float] | None = None,
    gradient_terms: Mapping[str, NDArray[np.generic]] = NO_TERMS,
    logit_shifts: NDArray[np.float32] | None = None,
    optimizer_state: Weights = NO_STATE,
    go_on: Callable[[int], bool] = lambda num_batches: True,
) -> LocalUpdate:
    """Train from `weights` on all of `batches`.

    Args:
        instance: the model; its weights are overwritten.
        weights: to start from, in model order.
        batches: images float32 (B, H, W, C) in [0, 1], labels float32 (B, 1), 0 to k - 1 for k classes.
        learning_rate: of the optimizer.
        seed: determines the dropout masks.
        class_weight: weight of an image of each class in the loss; None weighs all alike.
        gradient_terms: what the strategy adds to the gradients, by name of the weights.
        logit_shifts: what is added to the logits during the training only; None adds nothing.
        optimizer_state: what the client kept of its optimizer; empty for a new one.
        go_on: called after every batch with the number of batches done; returning False ends the training.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    if logit_shifts is not None:
        weights = instance.with_shifted_logits(weights, logit_shifts)
    instance.begin_training(weights, learning_rate, seed, gradient_terms, optimizer_state)
    num_batches = 0
    for num_batches, (images, labels) in enumerate(batches, 1):
        instance.train_step(num_batches, images, labels, class_weight)
        if not go_on(num_batches):
            break
    trained_on, reported = instance.training_losses()
    if not math.isfinite(trained_on):
        raise FloatingPointError(f"{DIVERGED}: its loss is {trained_on}; lower BASE_LR")
    if logit_shifts is not None:
        trained = instance.trained_weights()
        instance.model.set_weights(instance.with_shifted_logits(trained, -logit_shifts))
    return LocalUpdate(instance.trained_weights(), num_batches, reported)


def predict_scores(instance: ModelInstance, batches: Iterable[Any]) -> NDArray[np.float32]:
    """Return the probabilities of every image of `batches`.

    Returns:
        float32 (N,), of class 1, where there are two classes; else float32 (N, number of classes).
    """
    scores = np.concatenate([instance.predict_step(images) for images in batches])
    return scores.reshape(-1) if scores.shape[-1] == 1 else scores
