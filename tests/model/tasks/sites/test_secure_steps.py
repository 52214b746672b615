"""A site's steps under masks: which orders it serves, and whose keys it accepts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from helpers.federated.messages import Reference
from helpers.federated.replies import ClientReply
from helpers.federated.sites.messages import SiteRoundOrder, SiteTrainOrder
from helpers.federated.sites.secure_messages import (
    ConfirmOrder,
    KeysOrder,
    PublicKeys,
    Revealed,
    RevealOrder,
    SecureTrainOrder,
    SharesOrder,
)
from helpers.secure_aggregation.fixed_point import Residues
from helpers.secure_aggregation.member import Member, ProtocolError
from helpers.sites.deployment import COORDINATOR, Deployment
from helpers.sites.deployment import Member as DeploymentMember
from tasks.sites import secure_steps
from tests.unit.helpers.federated.sites.test_messages import FACTS, site

NAMES = ("a", "b", "c")


def deployments() -> dict[str, Deployment]:
    """The folders of a deployment of three sites, in memory."""
    signing = {name: Ed25519PrivateKey.generate() for name in (COORDINATOR, *NAMES)}
    sealing = X25519PrivateKey.generate()
    members = {
        name: DeploymentMember(key.public_key(), sealing.public_key()) for name, key in signing.items()
    }
    return {name: Deployment(Path(), name, key, sealing, members) for name, key in signing.items()}


@pytest.fixture(autouse=True)
def _forget_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secure_steps, "_parts", {})


def order_of(round_number: int, session: str = "s") -> SiteRoundOrder:
    return SiteRoundOrder(
        **FACTS | {"session": session}, round=round_number, clients=[0, 1, 2], weights={}, sent_at=0.0,
        num_clients=3, sites=[site(name) for name in NAMES],
    )  # fmt: skip


def announced(
    monkeypatch: pytest.MonkeyPatch, places: dict[str, Deployment], signers: tuple[str, ...] = NAMES
) -> dict[int, PublicKeys]:
    """Signed keys of three clients; this process stays the site of client 0."""
    keys = {}
    for client in (2, 1, 0):
        monkeypatch.setattr(secure_steps, "_parts", {})
        monkeypatch.setattr(secure_steps, "own_deployment", lambda client=client: places[signers[client]])
        keys[client] = secure_steps.signed_keys(KeysOrder.at(order_of(1), client))
    return keys


def shares_order(keys: dict[int, PublicKeys], round_number: int = 1) -> SharesOrder:
    messages = {str(client): each.to_message() for client, each in sorted(keys.items())}
    return SharesOrder.at(order_of(round_number), 0, keys=messages)


def train_order(sealed: dict[str, str]) -> SecureTrainOrder:
    return SecureTrainOrder(**vars(SiteTrainOrder.at(order_of(1), 0)), sealed=sealed, total=33)


class PlayedExchange:
    """An exchange that masks an update of no arrays."""

    def __init__(self, context: None, order: SecureTrainOrder) -> None: ...

    def put_masked(self, mask: Callable[[Residues], None], num_examples: int) -> Reference:
        mask([])
        return Reference("update", 0, "", ())


def train(monkeypatch: pytest.MonkeyPatch, order: SecureTrainOrder) -> ClientReply:
    """Train without training."""

    def train_at(order: SecureTrainOrder, exchange: Any) -> ClientReply:
        exchange(None, order)
        return ClientReply(1, 0, 0, "w", "ok", num_examples=11)

    monkeypatch.setattr(secure_steps, "MaskedExchange", PlayedExchange)
    monkeypatch.setattr(secure_steps, "train_at", train_at)
    return secure_steps.train_and_mask(order)


def test_what_a_site_signs_is_bound_to_the_keys_of_the_round() -> None:
    """A repeated order of an earlier round makes new keys, and what is signed then fits no other site."""
    training, digests = train_order({}), set()
    for round_number in (1, 2, 1):
        order = KeysOrder.at(order_of(round_number), 0)
        digests.add(secure_steps.orders_digest(training, {0: secure_steps.signed_keys(order)}))
    assert len(digests) == 3


def test_keys_are_those_of_the_round_and_repeated_orders_get_the_same() -> None:
    first = secure_steps.signed_keys(KeysOrder.at(order_of(1), 0))
    assert secure_steps.signed_keys(KeysOrder.at(order_of(1), 0)) == first
    assert (first.site, first.signature) == ("", "")  # without a deployment
    assert secure_steps.signed_keys(KeysOrder.at(order_of(1, "other"), 0)) != first
    assert secure_steps.signed_keys(KeysOrder.at(order_of(2), 0)) != first


def test_a_worker_that_did_not_announce_keys_takes_no_further_step() -> None:
    secure_steps.signed_keys(KeysOrder.at(order_of(1), 0))
    for order in (order_of(2), order_of(1, "other")):
        with pytest.raises(
            ProtocolError, match="no keys of the round: it was restarted, or the site has another"
        ):
            secure_steps.part_in(ConfirmOrder.at(order, 0, survivors=[0, 1]))


def test_signed_keys_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = announced(monkeypatch, deployments())
    assert [keys[client].site for client in range(3)] == [*NAMES]
    shares = secure_steps.shares_for(shares_order(keys))
    assert shares["shares"].keys() == {"1", "2"}


def test_keys_that_the_coordinator_put_in_place_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    places = deployments()
    keys = announced(monkeypatch, places)
    other = announced(monkeypatch, deployments())[1]  # signed by a stranger who calls itself b
    monkeypatch.setattr(secure_steps, "own_deployment", lambda: places["a"])
    for wrong in (
        other,
        replace(other, signature=keys[1].signature),
        replace(other, site="", signature=""),
        keys[2],  # of another client
    ):
        with pytest.raises(ProtocolError, match="keys of client 1 are not signed by a site"):
            secure_steps.verified_keys(shares_order({**keys, 1: wrong}))
    with pytest.raises(ProtocolError, match="keys of client 0 are not signed"):
        secure_steps.verified_keys(shares_order(keys, round_number=2))  # of another round


def test_one_site_cannot_be_several_and_the_coordinator_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = announced(monkeypatch, deployments(), signers=("a", "b", "b"))
    with pytest.raises(ProtocolError, match="a site occurs twice"):
        secure_steps.verified_keys(shares_order(keys))
    keys = announced(monkeypatch, deployments(), signers=("a", "b", COORDINATOR))
    with pytest.raises(ProtocolError, match="keys of client 2 are not signed by a site"):
        secure_steps.verified_keys(shares_order(keys))


def test_a_round_of_less_than_two_thirds_of_the_deployment_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sum of a site and an accomplice shows its update to the accomplice."""
    places = deployments()
    keys = announced(monkeypatch, places)
    assert len(secure_steps.verified_keys(shares_order({0: keys[0], 1: keys[1]}))) == 2
    members = {**places["a"].members, "d": places["a"].members["c"]}
    larger = replace(places["a"], members=members)
    monkeypatch.setattr(secure_steps, "own_deployment", lambda: larger)
    assert len(secure_steps.verified_keys(shares_order(keys))) == 3
    with pytest.raises(ProtocolError, match="keys of 2 of the 4 sites of the deployment, 3 are needed"):
        secure_steps.verified_keys(shares_order({0: keys[0], 1: keys[1]}))


def test_shares_are_revealed_if_two_thirds_have_signed_the_same_survivors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sites 0 and 1 have trained, and site 0 is asked."""
    places = deployments()
    keys = announced(monkeypatch, places)
    others = {client: Member(client, "r/s/1") for client in (1, 2)}
    public = {client: other.public_keys() for client, other in others.items()}
    for client, each in public.items():
        each = replace(each, site=NAMES[client])
        signature = places[NAMES[client]].sign(each.signed_text("r/s/1", client))
        keys[client] = replace(each, signature=signature)
    secure_steps.shares_for(shares_order(keys))
    part = secure_steps._parts["r"]
    every = {**public, 0: part.member.public_keys()}
    sealed = {str(client): other.share(every)[0] for client, other in others.items()}
    training = train_order(sealed)
    train(monkeypatch, training)
    with pytest.raises(ProtocolError, match="already sent its update"):
        train(monkeypatch, replace(training, total=7))  # this does not change what it signs

    def signed(client: int, survivors: list[int], **other_order: Any) -> str:
        order = ConfirmOrder.at(order_of(1), client, survivors=survivors)
        agreed = secure_steps.orders_digest(replace(training, **other_order), keys)
        return places[NAMES[client]].sign(order.confirmed_text(agreed))

    def reveal(**confirmations: str) -> Revealed:
        by_client = {name.removeprefix("of_"): signature for name, signature in confirmations.items()}
        order = RevealOrder.at(order_of(1), 0, survivors=[0, 1], confirmations=by_client)
        return secure_steps.revealed(order)

    confirmed = secure_steps.signed_survivors(ConfirmOrder.at(order_of(1), 0, survivors=[1, 0]))
    assert confirmed == {"signature": signed(0, [0, 1])}
    mine = confirmed["signature"]
    other_orders = [{"total": 2**50}, {"weights": {"sha256": "ab"}}, {"settings": {"BASE_LR": 0.0}}]
    of_other_orders = [{"of_1": signed(1, [0, 1], **other)} for other in other_orders]
    of_others = [{"of_1": signed(1, [0, 1, 2])}, {"of_1": mine}, {"of_7": signed(1, [0, 1])}]
    for wrong in [{}, *of_others, *of_other_orders]:
        with pytest.raises(ProtocolError, match="1 of 3 sites have signed these survivors of the round and"):
            reveal(of_0=mine, **wrong)
    assert sorted(reveal(of_0=mine, of_1=signed(1, [0, 1])).keys) == ["2"]
    with pytest.raises(ProtocolError, match="confirmed other survivors before"):
        secure_steps.signed_survivors(ConfirmOrder.at(order_of(1), 0, survivors=[0, 1, 2]))
