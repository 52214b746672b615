"""Scores that carry pixels: crafted weights turn the score of an image into a part of the image."""

from typing import Any

import numpy as np
import pytest

from helpers.global_config import Config
from helpers.local_training.trainer import predict_scores
from helpers.model_instance_helper import model_for
from helpers.settings.base import config_of_run
from preprocessing.feed.input_pipeline import evaluation_batches
from tests.attacks.conftest import SETTINGS, VictimSite
from tests.attacks.crafted import SCALE, blocks_of, copying_weights, correlation, in_order

PIXELS = [f"pixel {number}" for number in range(17)]
"""Class names of a run with a score for each of 16 pixels, and one to compare them with."""
NUM_BLOCKS = 25


def copying_16(config: Config, first: int) -> list[np.ndarray]:
    """Weights whose 16 logits are blocks of the image, from `first` on."""
    blocks = range(first, min(first + 16, NUM_BLOCKS))
    weights = copying_weights(config, [[(block, 1.0)] for block in blocks])
    np.fill_diagonal(weights["probability/kernel"], SCALE)
    return in_order(config, weights)


def copying_one(config: Config, *parts: tuple[int, float]) -> list[np.ndarray]:
    """Weights of two classes whose logit is a sum of blocks, times SCALE."""
    weights = copying_weights(config, [parts])
    weights["probability/kernel"][0, 0] = SCALE
    return in_order(config, weights)


def test_without_a_policy_two_orders_give_all_blocks_of_all_validation_images(site: VictimSite) -> None:
    """The attack works: this is what the site would send with the class names of the order and `pairs`."""
    config = Config.from_run(SETTINGS | {"CLASS_NAMES": PIXELS})
    images, recovered = site.data.images("val"), []
    for first in (0, 16):
        instance = model_for(config)
        instance.model.set_weights(copying_16(config, first))
        scores = predict_scores(instance, evaluation_batches(images, 32)).astype(np.float64)
        recovered.append(np.log(scores[:, :16] / scores[:, 16:]) / SCALE)
    pictures = np.concatenate(recovered, axis=1)[:, :NUM_BLOCKS]
    assert np.abs(pictures - blocks_of(images)).max() < 0.5 / 255  # exact to the gray level


def test_an_order_with_class_names_of_its_own_gets_nothing(site: VictimSite) -> None:
    config = Config.from_run(SETTINGS | {"CLASS_NAMES": PIXELS})
    for first in (0, 16) * 22:  # as many orders as the attack took at 64×64 pixels
        assert site.score(copying_16(config, first), CLASS_NAMES=PIXELS) is None
        assert "CLASS_NAMES: the order has" in site.board.failure
    entries = site.session.audit.entries()
    assert (len(entries), {entry["bytes_out"] for entry in entries}) == (44, {0})
    assert all(entry["decision"].startswith("refused: CLASS_NAMES") for entry in entries)


def values_of(reply: dict[str, Any]) -> np.ndarray:
    """All that counts say: the logits of the images, rounded and rising."""
    (bins,) = reply["tally"]["bins"]
    rows = np.array(bins["counts"])
    return np.repeat(rows[:, 0] * 2.0 ** bins["exponent"], rows[:, 1:].sum(axis=1))


def test_within_the_policy_one_order_gives_one_block_of_the_images_without_their_order(
    site: VictimSite,
) -> None:
    config = Config.from_run(SETTINGS)
    reply = site.score(copying_one(config, (12, 1.0)))
    assert reply is not None
    assert reply["scores"] is None
    assert not any("scores-" in key for key in site.store.blobs)
    true = np.sort(SCALE * blocks_of(site.data.images("val"))[:, 12])
    width = 2.0 ** reply["tally"]["bins"][0]["exponent"]
    assert np.abs(values_of(reply) - true).max() <= width / 2 + 1e-5


def test_within_the_policy_an_attacker_who_sorts_the_images_by_one_block_gets_coarse_pictures(
    site: VictimSite,
) -> None:
    """A known weakness: one block, which sorts the images, plus a little of another links the two.

    The outcome is stated in docs/security.md.
    """
    config, small = Config.from_run(SETTINGS), 0.05
    others = [block for block in range(NUM_BLOCKS) if block != 12]
    keys = values_of(site.score(copying_one(config, (12, 1.0))) or {})
    sums = [values_of(site.score(copying_one(config, (12, 1.0), (block, small))) or {}) for block in others]
    recovered = ((np.array(sums) - keys) / (SCALE * small)).T.clip(0, 1)
    images = blocks_of(site.data.images("val"))
    true = images[np.argsort(images[:, 12], kind="stable")][:, others]
    assert site.num_orders == NUM_BLOCKS
    assert 0.4 < correlation(recovered, true) < 0.8
    assert np.abs(recovered - true).mean() * 255 > 15  # gray levels


def test_an_hour_gives_at_most_240_such_orders(site: VictimSite) -> None:
    weights = copying_one(Config.from_run(SETTINGS), (0, 1.0))
    for _ in range(240):
        site.session.audit.append({"job": "score-val:1:0", "decision": "done"})
    assert site.score(weights) is None
    assert "240 orders in the past hour" in site.board.failure


def test_with_none_no_count_by_score_leaves(site: VictimSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DT_SHARE_SCORES", "none")
    config_of_run.cache_clear()  # otherwise the environment does not change in the life of a process
    reply = site.score(copying_one(Config.from_run(SETTINGS), (12, 1.0)))
    assert reply is not None
    assert (reply["tally"]["bins"], reply["scores"]) == (None, None)
