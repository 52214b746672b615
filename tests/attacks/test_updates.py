"""Updates that carry images: the step of one image is the image, and weights can be made to single it out."""

from typing import Any

import numpy as np
import pytest

from helpers.federated.messages import Reference
from helpers.federated.weights import Weights
from helpers.global_config import Config
from helpers.local_training.trainer import train_locally
from helpers.model_instance_helper import model_for
from helpers.sites.policy import Bound
from helpers.weight_store.store import get_arrays
from preprocessing.feed.input_pipeline import training_batches
from tests.attacks.conftest import SETTINGS, VictimSite
from tests.attacks.crafted import best_matches, blocks_in_gradient, blocks_of, training_weights

NUM_BLOCKS = 25
PLAIN = {"OPTIMIZER": "sgd", "BASE_LR": 0.1}
ONE_IMAGE = PLAIN | {"TRAIN_BATCH_SIZE": 1, "ROUND_DEADLINE_S": 0.001}


def always_active(config: Config) -> Weights:
    """Weights whose units are active for every image."""
    return training_weights(config, np.zeros((NUM_BLOCKS, 64), np.float32), np.full(64, -1.0))


def learned(site: VictimSite, config: Config, before: Weights, reply: dict[str, Any]) -> np.ndarray:
    """What the attacker reads in the update of a reply."""
    schema = model_for(config).schema
    reference = Reference.from_short(reply["update"], schema)
    return blocks_in_gradient(config, before, get_arrays(site.store, reference, schema))


def test_without_a_policy_the_step_of_one_image_is_that_image(site: VictimSite) -> None:
    """The attack works: this is what a training that stops after one image would send."""
    config, true = Config.from_run(SETTINGS | ONE_IMAGE), blocks_of(site.data.images("train"))
    before, chosen = always_active(config), []
    for number in range(12):
        batches = training_batches(
            site.data.images("train"), site.data.labels("train"), np.arange(len(true)), batch_size=1,
            epochs=1, augmentation_name="none", seed=[number],
        )  # fmt: skip
        update = train_locally(
            model_for(config), before, batches, learning_rate=0.1, seed=[number], go_on=lambda done: False
        )
        (match,), (similarity,) = best_matches(blocks_in_gradient(config, before, update.weights)[:1], true)
        chosen.append(match)
        assert similarity > 0.9
    assert len(set(chosen)) >= 8


def test_the_update_of_one_image_does_not_leave(site: VictimSite) -> None:
    config = Config.from_run(SETTINGS | ONE_IMAGE)
    for _ in range(12):
        assert site.train(always_active(config), **ONE_IMAGE) is None
        assert "stopped after 1 of 40 images, and site.toml has may_stop_early = false" in site.board.failure
    assert not any(":update:" in key for key in site.store.blobs)
    assert {entry["bytes_out"] for entry in site.session.audit.entries()} == {0}


def test_a_site_that_allows_early_stops_sends_no_update_of_one_image(site: VictimSite) -> None:
    site.session.policy = site.session.policy.model_copy(update={"may_stop_early": True})
    assert site.train(always_active(Config.from_run(SETTINGS | ONE_IMAGE)), **ONE_IMAGE) is None
    assert "an update of 1 images may not leave: site.toml has least_images = 16" in site.board.failure


@pytest.mark.parametrize("batch_size", [8, 40])
def test_the_update_of_a_whole_epoch_shows_a_mixture(site: VictimSite, batch_size: int) -> None:
    assert max(similarity_of_an_epoch(site, batch_size, seed) for seed in range(4)) < 0.8


def test_in_batches_of_one_an_epoch_can_show_an_image(site: VictimSite) -> None:
    """A known weakness, stated in docs/security.md: a site can refuse small batches in its policy."""
    similarities = [similarity_of_an_epoch(site, 1, seed) for seed in range(8)]
    assert sum(similarity > 0.8 for similarity in similarities) == 4
    site.session.policy = site.session.policy.model_copy(
        update={"settings": {"TRAIN_BATCH_SIZE": Bound(least=8)}}
    )
    before = always_active(Config.from_run(SETTINGS | PLAIN))
    assert site.train(before, **PLAIN, TRAIN_BATCH_SIZE=1) is None
    assert "TRAIN_BATCH_SIZE" in site.board.failure


def similarity_of_an_epoch(site: VictimSite, batch_size: int, seed: int) -> float:
    """Return how similar the most similar picture in the update of a whole epoch is to an image."""
    settings = PLAIN | {"TRAIN_BATCH_SIZE": batch_size, "SEED": seed}
    config, true = Config.from_run(SETTINGS | settings), blocks_of(site.data.images("train"))
    before = always_active(config)
    reply = site.train(before, **settings)
    assert reply is not None
    _, similarities = best_matches(learned(site, config, before, reply), true)
    return float(similarities.max())


def test_weights_made_to_single_out_images_still_do(site: VictimSite) -> None:
    """A known weakness, stated in docs/security.md: the policy does not stop it, noise in the update does."""
    settings = PLAIN | {"TRAIN_BATCH_SIZE": 40}
    config, true = Config.from_run(SETTINGS | settings), blocks_of(site.data.images("train"))
    directions = np.random.default_rng(0).normal(size=(NUM_BLOCKS, 64)).astype(np.float32) / NUM_BLOCKS**0.5
    before = training_weights(config, directions, np.full(64, 2.0))
    reply = site.train(before, **settings)
    assert reply is not None
    matches, similarities = best_matches(learned(site, config, before, reply), true)
    assert 3 <= len(set(matches[similarities > 0.95])) <= 12


def test_noise_for_single_images_stops_that_too(site: VictimSite) -> None:
    plain = PLAIN | {"TRAIN_BATCH_SIZE": 40, "ARCHITECTURE": "seed_cnn_groupnorm"}
    private = plain | {"DP": "example", "DP_TARGET_EPSILON": 8.0, "EPOCHS": 1, "DP_DELTA": 1e-3}
    directions = np.random.default_rng(0).normal(size=(NUM_BLOCKS, 64)).astype(np.float32) / NUM_BLOCKS**0.5
    true = blocks_of(site.data.images("train"))
    best, site.round_number = [], 1
    for settings in (plain, private):
        config = Config.from_run(SETTINGS | settings)
        before = training_weights(config, directions, np.full(64, 2.0))
        reply = site.train(before, **settings)
        assert reply is not None, site.board.failure
        best.append(best_matches(learned(site, config, before, reply), true)[1].max())
    assert best[0] > 0.95
    assert best[1] < 0.9  # as similar as noise is to the most similar of 40 images
