"""Membership inference: whether an image was used for training, guessed from the loss of the model on it
(Yeom et al. 2018, "Privacy Risk in Machine Learning"). Labels are random, so that a model can only learn by
heart.
"""

import math
from functools import cache, partial

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from helpers.federated.noise import drawn
from helpers.global_config import Config
from helpers.local_training.client_optimizer import client_optimizer
from helpers.local_training.private_training import Privacy, train_privately
from helpers.local_training.trainer import predict_scores, train_locally
from helpers.model_instance_helper import ModelInstance
from helpers.privacy.mechanism import mechanism_of
from preprocessing.feed.input_pipeline import evaluation_batches, training_batches
from preprocessing.feed.private_batches import private_batches

MEMBERS, SIDE, DELTA = 60, 20, 1e-5
GENERATOR = np.random.default_rng(1)
IMAGES = GENERATOR.integers(0, 256, (2 * MEMBERS, SIDE, SIDE, 1), np.uint8)
LABELS = GENERATOR.integers(0, 2, 2 * MEMBERS).astype(np.int32)
ROWS = np.arange(MEMBERS)
"""The members; as many images after them were not used."""


@cache
def instance() -> ModelInstance:
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Input((SIDE, SIDE, 1)), keras.layers.Flatten(), keras.layers.Dense(64, "relu"),
        keras.layers.Dense(1, "sigmoid"),
    ]  # fmt: skip
    return ModelInstance(keras.Sequential(layers), client_optimizer("adam"))


@cache
def losses(epsilon: float) -> np.ndarray:
    """Train on the members with this ε, infinite for none, and return the loss of every image."""
    model, rounds, random_bytes = instance(), 40, np.random.default_rng(5).bytes
    keras.utils.set_random_seed(0)
    weights = [
        0.1 * np.random.default_rng(0).normal(size=spec.shape).astype(spec.dtype) for spec in model.schema
    ]
    how = {"batch_size": 15, "epochs": rounds, "augmentation_name": "none", "seed": [1]}
    common = {"learning_rate": 0.003, "seed": [1]}
    if math.isinf(epsilon):
        batches = training_batches(IMAGES, LABELS, ROWS, **how)
        trained = train_locally(model, weights, batches, **common)
    else:
        settings = Config(
            DP="example", DP_TARGET_EPSILON=epsilon, DP_DELTA=DELTA, ARCHITECTURE="seed_cnn_groupnorm",
            TRAIN_BATCH_SIZE=15, LOCAL_EPOCHS=rounds, EPOCHS=1,
        )  # fmt: skip
        mechanism = mechanism_of(dict(settings), MEMBERS)
        privacy = Privacy(1.0, mechanism.noise_multiplier, 15, random_bytes)
        draw = partial(drawn, random_bytes=random_bytes)
        steps = private_batches(IMAGES, LABELS, ROWS, units=list(ROWS.reshape(-1, 1)), draw=draw, **how)
        trained = train_privately(model, weights, steps, privacy=privacy, **common)
    model.model.set_weights(trained.weights)
    scores = np.clip(predict_scores(model, evaluation_batches(IMAGES, 32)), 1e-7, 1 - 1e-7)
    return -np.where(LABELS == 1, np.log(scores), np.log(1 - scores))


def attack(epsilon: float) -> tuple[float, float]:
    """Return the AUC of the attack and its largest advantage, true minus false positive rate."""
    was_used = np.arange(2 * MEMBERS) < MEMBERS
    false_positives, true_positives, _ = roc_curve(was_used, -losses(epsilon))
    return float(roc_auc_score(was_used, -losses(epsilon))), float((true_positives - false_positives).max())


def bound(epsilon: float) -> float:
    """Return the largest advantage that (ε, δ) allows (Humphries et al. 2023, theorem 1)."""
    return (math.exp(epsilon) - 1 + 2 * DELTA) / (math.exp(epsilon) + 1)


def test_without_privacy_members_are_recognized() -> None:
    auc, advantage = attack(math.inf)
    assert auc > 0.9
    assert advantage > 0.8


@pytest.mark.parametrize(("epsilon", "highest_auc"), [(8.0, 0.72), (1.0, 0.68)])
def test_a_budget_bounds_the_attack(epsilon: float, highest_auc: float) -> None:
    auc, advantage = attack(epsilon)
    assert auc < highest_auc
    assert advantage <= bound(epsilon)


def test_a_smaller_epsilon_leaves_less_to_guess() -> None:
    aucs = [attack(epsilon)[0] for epsilon in (math.inf, 50.0, 1.0)]
    assert aucs == sorted(aucs, reverse=True)
    assert aucs[0] - aucs[2] > 0.3
