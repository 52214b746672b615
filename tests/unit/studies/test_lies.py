"""Attacks, and that only malicious clients attack."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from studies.lies import LENGTH, LIARS, flipped, noise_for
from studies.lying_clients import with_flipped_labels, with_noise

BEFORE = [np.zeros((2, 2), np.float32), np.ones(3, np.float32)]
AFTER = [np.full((2, 2), 0.5, np.float32), np.full(3, 4, np.float32)]


def test_flipped_labels():
    assert flipped(np.array([0, 1, 1], np.int32)).tolist() == [1, 0, 0]


def test_noise_is_so_many_times_as_long_as_the_change_and_leaves_statistics_alone():
    noise, statistics = noise_for(BEFORE, AFTER, [True, False], [1, 2, 0])
    assert np.linalg.norm(noise - BEFORE[0]) == pytest.approx(LENGTH * 1.0, rel=1e-6)  # the change: 4 · 0.5²
    assert (noise.shape, noise.dtype) == ((2, 2), np.float32)
    assert statistics.tolist() == [4, 4, 4]


def test_noise_is_that_of_its_seed():
    same, again, other = (noise_for(BEFORE, AFTER, [True, True], [1, 2, last])[0] for last in (0, 0, 1))
    assert same.tolist() == again.tolist() != other.tolist()


def test_a_client_that_learned_nothing_sends_what_it_got():
    assert noise_for(BEFORE, BEFORE, [True, True], [1])[1].tolist() == [1, 1, 1]


@dataclass(frozen=True)
class Update:
    weights: list
    num_batches: int


@pytest.mark.parametrize(("client", "lies"), [(0, True), (1, True), (2, False), (5, False)])
def test_only_liars_lie(client, lies):
    assert (client in LIARS) == lies
    seed = [42, 1, client]
    labels = with_flipped_labels(lambda images, labels, rows, *, seed, epochs: labels)
    assert labels(None, np.array([0, 1]), [0], seed=seed, epochs=1).tolist() == ([1, 0] if lies else [0, 1])

    train = with_noise(lambda instance, weights, batches, *, seed, learning_rate: Update(AFTER, 7))
    instance = SimpleNamespace(trainable=[True, True])
    update = train(instance, BEFORE, None, seed=seed, learning_rate=0.1)
    assert update.num_batches == 7
    assert (update.weights[0].tolist() != AFTER[0].tolist()) == lies
