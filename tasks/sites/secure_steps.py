"""A site's steps in a round whose updates are summed under masks."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

from celery_app import app, worker_session
from helpers.federated.messages import TrainOrder
from helpers.federated.quorum import two_thirds
from helpers.federated.replies import ClientReply
from helpers.federated.sites.secure_messages import (
    ConfirmOrder,
    KeysOrder,
    PublicKeys,
    Revealed,
    RevealOrder,
    SecureStep,
    SecureTrainOrder,
    SharesOrder,
    round_id,
)
from helpers.global_config import Config
from helpers.secure_aggregation.fixed_point import Residues
from helpers.secure_aggregation.member import Member, ProtocolError
from helpers.sites.deployment import COORDINATOR, Deployment, open_deployment
from tasks.run_context import RunContext
from tasks.sites.masked_exchange import MaskedExchange
from tasks.sites.train import train_at


@dataclass
class Part:
    """The part of this worker in a round.

    Attributes:
        round_id: of the round.
        member: its secrets, in memory only: a site whose worker ends has dropped out of the round.
        keys: of all sites of the round, by client id.
        agreed: digest of the orders under which it masked its update; sites with others do not confirm it.
    """

    round_id: str
    member: Member
    keys: dict[int, PublicKeys] = field(default_factory=dict)
    agreed: str = ""


_parts: dict[str, Part] = {}
"""The last round of each run."""


@app.task(name="tasks.announce_keys", ignore_result=True)
def announce_keys(message: dict[str, Any]) -> None:
    """Make the keys of a round; see `KeysOrder` and `PublicKeys`."""
    worker_session().run_order(KeysOrder, message, lambda order: signed_keys(order).to_message())


@app.task(name="tasks.share_secrets", ignore_result=True)
def share_secrets(message: dict[str, Any]) -> None:
    """Share this site's secrets; see `SharesOrder`."""
    worker_session().run_order(SharesOrder, message, shares_for)


@app.task(name="tasks.train_securely", ignore_result=True)
def train_securely(message: dict[str, Any]) -> None:
    """Train and mask the update; see `SecureTrainOrder` and `ClientReply`."""
    worker_session().run_order(SecureTrainOrder, message, lambda order: train_and_mask(order).to_message())


@app.task(name="tasks.confirm_survivors", ignore_result=True)
def confirm_survivors(message: dict[str, Any]) -> None:
    """Confirm whose updates are summed; see `ConfirmOrder`."""
    worker_session().run_order(ConfirmOrder, message, signed_survivors)


@app.task(name="tasks.reveal_shares", ignore_result=True)
def reveal_shares(message: dict[str, Any]) -> None:
    """Reveal shares that unmask the sum; see `RevealOrder` and `Revealed`."""
    worker_session().run_order(RevealOrder, message, lambda order: revealed(order).to_message())


def new_part(order: KeysOrder) -> Part:
    """Return this site's part in a round; a repeated order gets the same one."""
    if order.run not in _parts or _parts[order.run].round_id != round_id(order):
        _parts[order.run] = Part(round_id(order), Member(order.client, round_id(order)))
    return _parts[order.run]


def part_in(order: SecureStep | SecureTrainOrder) -> Part:
    """Return this site's part in a round.

    Raises:
        ProtocolError: this worker did not announce keys for it.
    """
    part = _parts.get(order.run)
    if part is None or part.round_id != round_id(order):
        raise ProtocolError(
            "this worker has no keys of the round: it was restarted, or the site has another worker; with "
            "SECURE_AGGREGATION=true a site has one"
        )
    return part


def signed_keys(order: KeysOrder) -> PublicKeys:
    """Return this site's keys of a round, signed where the site belongs to a deployment."""
    keys, deployment = new_part(order).member.public_keys(), own_deployment()
    if deployment is None:
        return keys
    keys = replace(keys, site=deployment.name)
    return replace(keys, signature=deployment.sign(keys.signed_text(round_id(order), order.client)))


def verified_keys(order: SharesOrder) -> dict[int, PublicKeys]:
    """Return the keys of all sites.

    Raises:
        ProtocolError: in a deployment, keys that no site of it has signed, two of one site, or too few.
    """
    keys = {int(client): PublicKeys.from_message(message) for client, message in order.keys.items()}
    if (deployment := own_deployment()) is not None:
        for client, each in keys.items():
            text = each.signed_text(round_id(order), client)
            if each.site == COORDINATOR or not deployment.verify(each.site, text, each.signature):
                raise ProtocolError(f"the keys of client {client} are not signed by a site of the deployment")
        if len({each.site for each in keys.values()}) < len(keys):
            raise ProtocolError("a site occurs twice among the keys")
        num_sites = len(deployment.members.keys() - {COORDINATOR})
        if len(keys) < (needed := two_thirds(num_sites)):
            raise ProtocolError(
                f"keys of {len(keys)} of the {num_sites} sites of the deployment, {needed} are needed"
            )
    return keys


def own_deployment() -> Deployment | None:
    """Return the deployment that this site belongs to; None without one."""
    config = Config.load()
    return open_deployment(config) if config.DEPLOYMENT else None


def shares_for(order: SharesOrder) -> dict[str, Any]:
    """Return shares of this site's secrets, sealed for each other site."""
    keys, part = verified_keys(order), part_in(order)
    shares = part.member.share({c: replace(each, site="", signature="") for c, each in keys.items()})
    part.keys = part.keys or keys
    return {"shares": {str(client): sealed for client, sealed in shares.items()}}


def signed_survivors(order: ConfirmOrder) -> dict[str, str]:
    """Return this site's signature of the survivors; an empty one without a deployment."""
    part, deployment = part_in(order), own_deployment()
    part.member.confirm(order.survivors)
    return {"signature": deployment.sign(order.confirmed_text(part.agreed)) if deployment else ""}


def revealed(order: RevealOrder) -> Revealed:
    """Return shares that unmask the sum over survivors that two thirds of the sites have confirmed.

    Raises:
        ProtocolError: in a deployment, fewer have signed these survivors with the same orders.
    """
    part, deployment = part_in(order), own_deployment()
    if deployment is not None:
        text, needed = order.confirmed_text(part.agreed), two_thirds(len(part.keys))
        number = sum(
            deployment.verify(keys.site, text, order.confirmations.get(str(client), ""))
            for client, keys in part.keys.items()
        )
        if number < needed:
            raise ProtocolError(
                f"{number} of {len(part.keys)} sites have signed these survivors of the round and the same "
                f"orders, {needed} are needed"
            )
    return part.member.reveal(order.survivors)


def orders_digest(order: SecureTrainOrder, keys: dict[int, PublicKeys]) -> str:
    """Return a digest of what all sites of a round must have been given alike, so that the sum is a mean."""
    by_client = {str(client): each.to_message() for client, each in keys.items()}
    alike = [order.settings, order.weights, order.total, by_client]
    return hashlib.sha256(json.dumps(alike, sort_keys=True).encode()).hexdigest()


def train_and_mask(order: SecureTrainOrder) -> ClientReply:
    """Train on the site's images and store the masked update; nothing else of it leaves the site."""
    part, exchanges = part_in(order), []

    def exchange(context: RunContext, order: TrainOrder) -> MaskedExchange:
        exchanges.append(MaskedExchange(context, order))
        return exchanges[-1]

    reply = train_at(order, exchange)
    sealed = {int(client): shares for client, shares in order.sealed.items()}

    def mask(residues: Residues) -> None:
        part.member.mask(residues, sealed)  # once: a second order changes no digest
        part.agreed = orders_digest(order, part.keys)

    update = exchanges[0].put_masked(mask, reply.num_examples)
    # The norm is that of a single update.
    return replace(reply, update=update.to_message(), bytes_up=update.length, update_norm=0.0)
