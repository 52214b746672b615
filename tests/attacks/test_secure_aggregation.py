"""A coordinator that wants the update of one site of a run with SECURE_AGGREGATION, and plays the others."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from helpers.federated.messages import Reference
from helpers.federated.sites.messages import SiteTrainOrder
from helpers.federated.sites.secure_messages import (
    KeysOrder,
    PublicKeys,
    RevealOrder,
    SecureTrainOrder,
    SharesOrder,
)
from helpers.federated.weights import Weights
from helpers.global_config import Config
from helpers.model_instance_helper import model_for
from helpers.secure_aggregation.fixed_point import Residues, decode_mean
from helpers.secure_aggregation.member import Member
from helpers.secure_aggregation.unmasking import remove_masks
from helpers.settings.base import config_of_run
from helpers.sites.policy import Bound, Policy
from helpers.weight_store.store import get_arrays
from tasks.sites import secure_steps
from tasks.sites.masked_exchange import masked_schema
from tests.attacks.conftest import SETTINGS, VictimSite
from tests.attacks.crafted import best_matches, blocks_in_gradient, blocks_of, training_weights

MASKED = {"SECURE_AGGREGATION": True, "DATA_AT": "sites", "OPTIMIZER": "sgd", "BASE_LR": 0.1}
ATTACK = MASKED | {"TRAIN_BATCH_SIZE": 40}
NUM_BLOCKS, NUM_IMAGES = 25, 40
ROUND = "attack/s/1"


@dataclass
class Coordinator:
    """Plays sites 1 and 2 next to the victim, which is site 0, and sees every message.

    Attributes:
        directions: what weights single out, so that an update in the clear shows images.
    """

    victim: VictimSite
    settings: dict[str, Any]
    others: dict[int, Member] = field(default_factory=lambda: {c: Member(c, ROUND) for c in (1, 2)})
    keys: dict[int, PublicKeys] = field(default_factory=dict)
    sealed: dict[int, dict[int, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.config = Config.from_run(SETTINGS | self.settings)
        directions = np.random.default_rng(0).normal(size=(NUM_BLOCKS, 64)).astype(np.float32)
        self.before: Weights = training_weights(self.config, directions / NUM_BLOCKS**0.5, np.full(64, 2.0))

    def _ask(self, task: Any, kind: type, **fields: Any) -> dict[str, Any] | None:
        """Deliver an order of round 1; return the answer, or None if the board has a failure."""
        facts = self.victim._facts(self.settings) | {"round": 1}
        self.victim._deliver(task, kind(**facts, **fields).to_message())
        return self.victim.board.answer_

    def share(self) -> None:
        """Take the first two steps."""
        answer = self._ask(secure_steps.announce_keys, KeysOrder)
        assert answer is not None, self.victim.board.failure
        self.keys = {0: PublicKeys.from_message(answer)}
        self.keys |= {client: member.public_keys() for client, member in self.others.items()}
        self.sealed = {client: member.share(self.keys) for client, member in self.others.items()}
        messages = {str(client): each.to_message() for client, each in self.keys.items()}
        answer = self._ask(secure_steps.share_secrets, SharesOrder, keys=messages)
        assert answer is not None, self.victim.board.failure
        self.sealed[0] = {int(client): sealed for client, sealed in answer["shares"].items()}

    def train(self, task: Any = secure_steps.train_securely, kind: type = SecureTrainOrder) -> Any:
        """Order the training; return the reply."""
        weights = self.victim._put(self.before, self.settings)
        fields: dict[str, Any] = {"clients": [0], "weights": weights, "sent_at": 0.0, "num_clients": 3}
        if kind is SecureTrainOrder:
            to_victim = {str(client): self.sealed[client][0] for client in self.others}
            fields |= {"sealed": to_victim, "total": NUM_IMAGES * 3}
        return self._ask(task, kind, **fields)

    def masked(self, reply: dict[str, Any]) -> Residues:
        schema = masked_schema(model_for(self.config).schema)
        reference = Reference.from_message(reply["update"])
        return [array.view(np.uint32) for array in get_arrays(self.victim.store, reference, schema)]

    def unmasked(self, reply: dict[str, Any]) -> Weights:
        """Return the weights of the victim, to whose masked update the others add nothing but masks."""
        sums = self.masked(reply)
        for client, member in self.others.items():
            zeros = [np.zeros(array.shape, np.uint32) for array in sums]
            to_it = {other: sealed[client] for other, sealed in self.sealed.items() if other != client}
            member.mask(zeros, to_it)
            for array, other in zip(sums, zeros, strict=True):
                array += other
        revealed = [(client, member.reveal([0, 1, 2])) for client, member in self.others.items()]
        instance = model_for(self.config)
        remove_masks(sums, self.keys, [0, 1, 2], [0, 1, 2], revealed, ROUND)
        return decode_mean(instance.schema, sums, self.before, instance.trainable, NUM_IMAGES, NUM_IMAGES * 3)

    def similarity(self, weights: Weights) -> float:
        """How much the best of the images that an update shows is like a true one."""
        true = blocks_of(self.victim.data.images("train"))
        return float(best_matches(blocks_in_gradient(self.config, self.before, weights), true)[1].max())


@pytest.fixture
def coordinator(site: VictimSite, monkeypatch: pytest.MonkeyPatch) -> Coordinator:
    monkeypatch.setattr(secure_steps, "_parts", {})
    return Coordinator(site, ATTACK)


def test_the_masked_update_shows_no_image(coordinator: Coordinator) -> None:
    coordinator.share()
    reply = coordinator.train()
    assert reply is not None, coordinator.victim.board.failure
    assert reply["update_norm"] == 0
    masked = coordinator.masked(reply)
    read = [array.view(np.int32) / 2.0**26 for array in masked]  # as if there were no masks
    update = [old + change * 3 for old, change in zip(coordinator.before, read, strict=True)]
    assert coordinator.similarity(update) < 0.9  # noise reaches 0.8 in one of 400
    largest = max(masked, key=np.size)
    bits = np.unpackbits(largest.reshape(-1).view(np.uint8)).mean()
    assert bits == pytest.approx(0.5, abs=0.01)


def test_an_order_without_masks_is_refused(coordinator: Coordinator) -> None:
    from tasks.sites.train import train_site

    assert coordinator.train(train_site, SiteTrainOrder) is None
    assert "not an order of a run with SECURE_AGGREGATION=True" in coordinator.victim.board.failure
    assert not any(":update:" in key for key in coordinator.victim.store.blobs)


def test_it_unmasks_no_sum_of_one_site(coordinator: Coordinator) -> None:
    coordinator.share()
    assert coordinator.train() is not None
    assert coordinator._ask(secure_steps.reveal_shares, RevealOrder, survivors=[0], confirmations={}) is None
    assert "1 of 3 sites are left, 2 are needed" in coordinator.victim.board.failure


def test_a_second_update_under_the_same_masks_does_not_leave(coordinator: Coordinator) -> None:
    """The difference of two would show how they differ."""
    coordinator.share()
    assert coordinator.train() is not None
    assert coordinator.train() is None
    assert "already sent its update of this round" in coordinator.victim.board.failure


def test_without_signed_keys_a_coordinator_that_plays_all_others_reads_the_update(
    coordinator: Coordinator,
) -> None:
    """A known weakness, stated in docs/secure-aggregation.md: provisioned sites refuse such keys."""
    coordinator.share()
    assert coordinator.similarity(coordinator.unmasked(coordinator.train())) > 0.95


def test_the_noise_of_a_private_training_is_under_the_masks(
    site: VictimSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same coordinator, and a site that trains with `DP=example`."""
    monkeypatch.setattr(secure_steps, "_parts", {})
    private = {"ARCHITECTURE": "seed_cnn_groupnorm", "DP": "example", "DP_TARGET_EPSILON": 8.0, "EPOCHS": 1}
    coordinator = Coordinator(site, ATTACK | private)
    coordinator.share()
    reply = coordinator.train()
    assert reply is not None, site.board.failure
    assert coordinator.similarity(coordinator.unmasked(reply)) < 0.9  # as in test_updates.py
    assert 7.9 < float(site.session.audit.entries()[-1]["epsilon"]) <= 8


def test_a_site_that_has_the_setting_itself_does_not_meet_its_own_policy_for_the_run(
    site: VictimSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order that leaves SECURE_AGGREGATION out is one without masks."""
    site.session.policy = Policy(settings={"SECURE_AGGREGATION": Bound(one_of=[True])})
    monkeypatch.setenv("DT_SECURE_AGGREGATION", "true")
    config_of_run.cache_clear()
    asked = {name: value for name, value in ATTACK.items() if name != "SECURE_AGGREGATION"}
    weights = model_for(Config.from_run(SETTINGS | asked)).model.get_weights()
    assert site.train(weights, **asked) is None
    assert "SECURE_AGGREGATION=False: site.toml has one_of" in site.board.failure
