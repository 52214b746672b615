"""A coordinator that wants more of a private site than its budget: more rounds, more runs, less noise."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.federated.messages import Reference
from helpers.federated.weights import Weights
from helpers.global_config import Config
from helpers.model_instance_helper import model_for
from helpers.privacy.mechanism import mechanism_of
from helpers.settings.errors import ConfigError
from helpers.sites.policy import Policy
from helpers.sites.privacy_account import PrivacyAccount
from helpers.sites.site_session import own_folder
from helpers.weight_store.store import get_arrays
from tests.attacks.conftest import SETTINGS, VictimSite
from tests.attacks.crafted import best_matches, blocks_of, in_order, training_weights
from tests.attacks.test_updates import NUM_BLOCKS, PLAIN

NUM_IMAGES, RUNS = 40, 1024
ORDERS = 20
"""Orders that the tests send where each is refused."""
PRIVATE = PLAIN | {
    "ARCHITECTURE": "seed_cnn_groupnorm", "TRAIN_BATCH_SIZE": 40, "BASE_LR": 10.0, "DP": "example",
    "DP_TARGET_EPSILON": 8.0, "EPOCHS": 1,
}  # fmt: skip


def singling_out(config: Config) -> dict[str, NDArray]:
    """Return weights by name that single out images; most of a gradient is in the first dense layer."""
    directions = np.random.default_rng(0).normal(size=(NUM_BLOCKS, 64)).astype(np.float32) / NUM_BLOCKS**0.5
    weights = named(config, training_weights(config, directions, np.full(64, 2.0)))
    signs = np.where(np.arange(16) % 2, 1, -1)
    weights["dense_2/kernel"][...] = 0.1 * signs
    weights["probability/kernel"][:, 0] = signs
    return weights


def named(config: Config, weights: Weights) -> dict[str, NDArray]:
    return {
        spec.name.partition("/")[2]: array
        for spec, array in zip(model_for(config).schema, weights, strict=True)
    }


def ask(site: VictimSite, **settings: Any) -> float | None:
    """Order a training; return how similar the best of the pictures in its update is to an image."""
    config = Config.from_run(SETTINGS | settings)
    before = singling_out(config)
    reply = site.train(in_order(config, before), **settings)
    if reply is None:
        return None
    schema = model_for(config).schema
    after = named(config, get_arrays(site.store, Reference.from_short(reply["update"], schema), schema))
    steps = {
        name: after[name].astype(np.float64) - before[name] for name in ("dense_1/kernel", "dense_1/bias")
    }
    of_blocks = steps["dense_1/kernel"].reshape(NUM_BLOCKS, -1, 64).mean(axis=1)  # channels are copies
    pictures = (of_blocks / steps["dense_1/bias"]).T
    return float(best_matches(pictures, blocks_of(site.data.images("train")))[1].max())


def bounded(site: VictimSite, max_epsilon: float) -> None:
    """Give the site's policy a bound."""
    policy = Policy(max_epsilon=max_epsilon)
    site.session.policy, site.session.privacy = policy, PrivacyAccount(own_folder(Config.load()), policy)


def test_restarted_runs_show_images_at_a_site_without_a_bound(site: VictimSite) -> None:
    """The mean of the updates of 1,024 runs has 1/32 of the noise of one. Here one training has it."""
    one_run = mechanism_of(dict(Config.from_run(SETTINGS | PRIVATE)), NUM_IMAGES)
    noise = {"DP_TARGET_EPSILON": 0.0, "DP_NOISE_MULTIPLIER": one_run.noise_multiplier / RUNS**0.5}
    similarity = ask(site, **PRIVATE | noise)
    assert similarity is not None, site.board.failure
    assert similarity > 0.9
    (entry,) = site.session.audit.entries()
    assert float(entry["epsilon"]) > 100  # the site's log shows what happened


def test_a_bound_stops_restarted_runs(site: VictimSite) -> None:
    bounded(site, 8)
    site.run, site.round_number = "first", 1
    similarity = ask(site, **PRIVATE)
    assert similarity is not None, site.board.failure
    assert similarity < 0.9  # as in test_updates.py
    for number in range(ORDERS):
        site.run = f"again{number}"
        assert ask(site, **PRIVATE) is None
        assert "site.toml has max_epsilon = 8" in site.board.failure
    assert [entry["bytes_out"] for entry in site.session.audit.entries()][1:] == [0] * ORDERS


@pytest.mark.parametrize(
    ("number", "more", "reason"),
    [
        (1, {}, "run attack would spend ε ="),
        (2, {}, "round 2 of a run with EPOCHS=1"),
        (2, {"EPOCHS": 9}, "run attack had other settings or images before"),
        (1, {"DP_NOISE_MULTIPLIER": 0.1}, "first round needs"),
    ],
)
def test_a_run_gets_no_more_than_its_budget(
    site: VictimSite, number: int, more: dict[str, Any], reason: str
) -> None:
    site.round_number = 1
    assert ask(site, **PRIVATE) is not None, site.board.failure
    site.round_number = number
    assert ask(site, **PRIVATE | more) is None
    assert reason in site.board.failure


def test_a_site_with_a_bound_trains_nothing_without_noise(site: VictimSite) -> None:
    bounded(site, 8)
    assert ask(site, **PLAIN, TRAIN_BATCH_SIZE=40) is None
    assert "DP=off: site.toml has max_epsilon, which needs DP=example" in site.board.failure


@pytest.mark.parametrize("clip_norm", [1e-30, 1e-7, 1e30])
def test_gradients_too_small_for_float32_do_not_escape_the_limit(clip_norm: float) -> None:
    """Their norm would be 0: nothing is limited to DP_CLIP_NORM, and the noise is as small as that."""
    with pytest.raises(ConfigError, match="DP_CLIP_NORM"):
        Config.from_run(SETTINGS | PRIVATE | {"DP_CLIP_NORM": clip_norm})  # as a site reads an order
