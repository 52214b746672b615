"""Masked updates from a site's exchange to the mean, through the store; one process plays all sites."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from helpers.evaluation.tallies import tally_of
from helpers.federated.aggregation import weighted_mean
from helpers.federated.norm_clipping import clip_update
from helpers.federated.quorum import QuorumError
from helpers.federated.replies import ClientReply
from helpers.federated.sites.messages import SiteRoundOrder, SiteTrainOrder
from helpers.federated.sites.secure_messages import SecureRoundOrder, SecureTrainOrder, round_id
from helpers.federated.strategies.base import Update
from helpers.federated.weights import Weights
from helpers.global_config import Config
from helpers.model_instance_helper import ModelInstance
from helpers.run_records.files import RunFolders
from helpers.secure_aggregation.member import Member
from helpers.weight_store.store import MemoryStore, put_arrays
from tasks.run_context import _state_plan
from tasks.sites.masked_exchange import MaskedExchange
from tasks.sites.secure_average import SecureIntake
from tests.unit.helpers.federated.sites.test_messages import FACTS, site

COUNTS = [40, 11, 25]
"""Training images of the sites."""
LABELS = np.array([0, 0, 1, 1, 1], np.int32)
SCORES = np.array([0.1, 0.7, 0.2, 0.9, 0.6], np.float32)


class SecureRound:
    """A round of three sites."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.config = Config(DATA_AT="sites", SECURE_AGGREGATION=True, **settings)
        layers = [keras.layers.Input((3,)), keras.layers.Dense(4), keras.layers.BatchNormalization()]
        instance = ModelInstance(keras.Sequential(layers), keras.optimizers.SGD())
        plan = _state_plan(self.config, instance)
        assert plan is not None
        self.context: Any = SimpleNamespace(
            config=self.config, instance=instance, is_shared=plan.shared(instance.trainable),
            store=MemoryStore(), folders=RunFolders(folder / "metrics", folder / "models"), state_plan=plan,
            key=lambda *parts, site=None: ":".join(str(part) for part in parts),
        )  # fmt: skip
        self.start: Weights = instance.model.get_weights()
        reference = put_arrays(self.context.store, "weights:0", instance.names, self.start)
        sites = [site(name, train=[count - 5, 5]) for name, count in zip("abc", COUNTS, strict=True)]
        self.order = SiteRoundOrder(
            **FACTS | {"settings": self.config.for_run()}, round=1, clients=[0, 1, 2],
            weights=reference.to_message(), sent_at=0.0, num_clients=3, sites=sites,
        )  # fmt: skip
        self.members = [Member(client, round_id(self.order)) for client in range(3)]
        self.keys = {client: member.public_keys() for client, member in enumerate(self.members)}
        self.sealed = [member.share(self.keys) for member in self.members]

    def local(self, client: int) -> Weights:
        """What a site has after its training."""
        generator = np.random.default_rng(client)
        return [array + generator.normal(0, 1, array.shape).astype(np.float32) for array in self.start]

    def reply(self, client: int) -> ClientReply:
        """The reply of a site that trained once on all of its images."""
        sealed = {str(other): shares[client] for other, shares in enumerate(self.sealed) if other != client}
        training = SiteTrainOrder.at(self.order, client)
        order = SecureTrainOrder(**vars(training), sealed=sealed, total=sum(COUNTS))
        exchange = MaskedExchange(self.context, order)
        exchange.fetch()
        fields = exchange.deliver(self.local(client), 3)
        mine = {int(other): shares for other, shares in sealed.items()}
        update = exchange.put_masked(lambda masked: self.members[client].mask(masked, mine), COUNTS[client])
        return ClientReply(
            1, client, 0, "w", "ok", num_examples=COUNTS[client], num_steps=3, train_loss=0.5,
            update=update.to_message(), tally=tally_of(LABELS, SCORES).to_message(), **fields,
        )  # fmt: skip

    def intake(self, replies: list[ClientReply]) -> SecureIntake:
        survivors = [reply.client for reply in replies if reply.status == "ok"]
        revealed = {str(client): self.members[client].reveal(survivors).to_message() for client in survivors}
        order = SecureRoundOrder(
            **vars(self.order), replies=[], total=sum(COUNTS), revealed=revealed,
            keys={str(client): keys.to_message() for client, keys in self.keys.items()},
        )  # fmt: skip
        intake = SecureIntake(self.context, order, replies)
        intake.__dict__["global_weights"] = self.start
        return intake


def assert_mean(update: Update, expected: Weights) -> None:
    for got, want in zip(update.weights, expected, strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, atol=6e-6)


FAILED = ClientReply(1, 1, 0, "w", "failed", "dead")


@pytest.mark.parametrize("dead", [None, 1])
def test_the_only_update_is_the_mean_of_the_sites_that_are_left(tmp_path: Path, dead: int | None) -> None:
    played = SecureRound(tmp_path)
    replies = [FAILED if client == dead else played.reply(client) for client in range(3)]
    left = [client for client in range(3) if client != dead]
    (update,) = (intake := played.intake(replies)).updates()
    assert_mean(update, weighted_mean((played.local(client), COUNTS[client]) for client in left))
    counts = sum(COUNTS[client] for client in left)
    assert (update.num_examples, update.num_rows, update.num_steps) == (counts, counts, 3 * len(left))
    assert [row["status"] for row in intake.rows] == [reply.status for reply in replies]
    assert [row["val_accuracy"] for row in intake.rows if row["status"] == "ok"] == [0.6] * len(left)


def test_the_store_never_has_an_update_without_its_masks(tmp_path: Path) -> None:
    played = SecureRound(tmp_path)
    before = set(played.context.store.blobs)
    first = played.reply(0)
    (key,) = set(played.context.store.blobs) - before
    stored = played.context.store.blobs[key]
    assert key == "update:1:0:0"
    for array, start in zip(played.local(0), played.start, strict=True):
        assert array.tobytes() not in stored
        assert (array - start).tobytes() not in stored
    assert first.update_norm == 0.0


def test_each_site_clips_its_own_update(tmp_path: Path) -> None:
    played = SecureRound(tmp_path, MAX_UPDATE_NORM=0.25)
    (update,) = played.intake([played.reply(client) for client in range(3)]).updates()
    shared = played.context.is_shared
    clipped = (clip_update(played.local(client), played.start, shared, 0.25) for client in range(3))
    assert_mean(update, weighted_mean(zip(clipped, COUNTS, strict=True)))


def test_states_stay_at_the_sites(tmp_path: Path) -> None:
    played = SecureRound(tmp_path, BATCH_NORM="local", SITE_DIR=tmp_path / "sites", SITE="a")
    replies = [played.reply(client) for client in range(3)]
    list((intake := played.intake(replies)).updates())
    assert sorted(key for key in played.context.store.blobs if "state" in key) == []
    kept = sorted(path.name for path in (tmp_path / "sites/a/states/r").iterdir())
    assert [intake.state_files[str(client)] for client in range(3)] == kept
    order = SiteTrainOrder.at(played.order, 0)
    order.states["0"] = intake.states["0"]
    again = MaskedExchange(played.context, order)
    private = played.context.state_plan.private_arrays
    for got, want in zip(private(again.fetch()), private(played.local(0)), strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_masked_update_that_is_damaged_ends_the_round(tmp_path: Path) -> None:
    played = SecureRound(tmp_path)
    replies = [played.reply(client) for client in range(3)]
    played.context.store.delete(["update:1:2:0"])
    with pytest.raises(QuorumError, match="cannot be summed: update:1:2:0: not in the store; resume the run"):
        list(played.intake(replies).updates())


def test_too_few_updates_are_refused(tmp_path: Path) -> None:
    played = SecureRound(tmp_path, MIN_CLIENTS=3)
    with pytest.raises(QuorumError, match="2 usable updates, MIN_CLIENTS needs 3"):
        list(played.intake([played.reply(0), FAILED, played.reply(2)]).updates())


@pytest.mark.parametrize(
    "wrong",
    [{"tally": {"nonsense": 1}}, {"tally": tally_of(LABELS[:2], SCORES[:2]).to_message()}, {"state": [1]}],
)
def test_a_false_tally_or_state_does_not_spoil_the_round(tmp_path: Path, wrong: dict[str, Any]) -> None:
    """The update cannot be taken out of the sum any more."""
    played = SecureRound(tmp_path, BATCH_NORM="local", SITE_DIR=tmp_path / "sites", SITE="a")
    replies = [played.reply(client) for client in range(3)]
    replies[2] = replace(replies[2], **wrong)
    (update,) = (intake := played.intake(replies)).updates()
    assert update.num_examples == sum(COUNTS)
    assert "2" not in intake.states or "state" not in wrong
    if "tally" in wrong:
        assert intake.rows[2]["error"].startswith("its tally does not count: ")
        assert (intake.rows[2].get("val_accuracy"), intake.rows[1]["val_accuracy"]) == (None, 0.6)
