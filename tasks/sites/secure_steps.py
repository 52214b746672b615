"""A site's steps in a round whose updates are summed under masks."""

from dataclasses import replace
from typing import Any

from celery_app import app, worker_session
from helpers.federated.messages import TrainOrder
from helpers.federated.replies import ClientReply
from helpers.federated.sites.secure_messages import (
    KeysOrder,
    PublicKeys,
    RevealOrder,
    SecureStep,
    SecureTrainOrder,
    SharesOrder,
    round_id,
)
from helpers.global_config import Config
from helpers.secure_aggregation.member import Member, ProtocolError
from helpers.sites.deployment import COORDINATOR, Deployment, open_deployment
from tasks.run_context import RunContext
from tasks.sites.masked_exchange import MaskedExchange
from tasks.sites.train import train_at

_members: dict[str, tuple[str, Member]] = {}
"""The part of this worker in the last round of each run. Its secrets are in memory only: a site whose worker
ends has dropped out of the round."""


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


@app.task(name="tasks.reveal_shares", ignore_result=True)
def reveal_shares(message: dict[str, Any]) -> None:
    """Reveal shares that unmask the sum; see `RevealOrder` and `Revealed`."""
    worker_session().run_order(
        RevealOrder, message, lambda order: member_of(order).reveal(order.survivors).to_message()
    )


def new_member(order: KeysOrder) -> Member:
    """Return this site's part in a round; a repeated order gets the same one."""
    if _members.get(order.run, ("",))[0] != round_id(order):
        _members[order.run] = round_id(order), Member(order.client, round_id(order))
    return _members[order.run][1]


def member_of(order: SecureStep | SecureTrainOrder) -> Member:
    """Return this site's part in a round.

    Raises:
        ProtocolError: this worker did not announce keys for it.
    """
    known, member = _members.get(order.run, ("", None))
    if member is None or known != round_id(order):
        raise ProtocolError(
            "this worker has no keys of the round: it was restarted, or the site has another worker; with "
            "SECURE_AGGREGATION=true a site has one"
        )
    return member


def signed_keys(order: KeysOrder) -> PublicKeys:
    """Return this site's keys of a round, signed where the site belongs to a deployment."""
    keys, deployment = new_member(order).public_keys(), own_deployment()
    if deployment is None:
        return keys
    keys = replace(keys, site=deployment.name)
    return replace(keys, signature=deployment.sign(keys.signed_text(round_id(order), order.client)))


def verified_keys(order: SharesOrder) -> dict[int, PublicKeys]:
    """Return the keys of all sites, without their signatures.

    Raises:
        ProtocolError: in a deployment, keys that no site of it has signed, or two of one site.
    """
    keys = {int(client): PublicKeys.from_message(message) for client, message in order.keys.items()}
    if (deployment := own_deployment()) is not None:
        for client, each in keys.items():
            text = each.signed_text(round_id(order), client)
            if each.site == COORDINATOR or not deployment.verify(each.site, text, each.signature):
                raise ProtocolError(f"the keys of client {client} are not signed by a site of the deployment")
        if len({each.site for each in keys.values()}) < len(keys):
            raise ProtocolError("a site occurs twice among the keys")
    return {client: PublicKeys(each.sealing, each.masking) for client, each in keys.items()}


def own_deployment() -> Deployment | None:
    """Return the deployment that this site belongs to; None without one."""
    config = Config.load()
    return open_deployment(config) if config.DEPLOYMENT else None


def shares_for(order: SharesOrder) -> dict[str, Any]:
    """Return shares of this site's secrets, sealed for each other site."""
    shares = member_of(order).share(verified_keys(order))
    return {"shares": {str(client): sealed for client, sealed in shares.items()}}


def train_and_mask(order: SecureTrainOrder) -> ClientReply:
    """Train on the site's images and store the masked update; nothing else of it leaves the site."""
    member, exchanges = member_of(order), []

    def exchange(context: RunContext, order: TrainOrder) -> MaskedExchange:
        exchanges.append(MaskedExchange(context, order))
        return exchanges[-1]

    reply = train_at(order, exchange)
    sealed = {int(client): shares for client, shares in order.sealed.items()}
    update = exchanges[0].put_masked(lambda residues: member.mask(residues, sealed), reply.num_examples)
    # The norm is that of a single update.
    return replace(reply, update=update.to_message(), bytes_up=update.length, update_norm=0.0)
