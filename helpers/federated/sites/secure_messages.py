"""Messages of a round whose updates are summed under masks; the steps are those of
`helpers.secure_aggregation.member`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from helpers.federated.messages import Message, MessageError, Order
from helpers.federated.sites.messages import SiteRoundOrder, SiteTrainOrder

KEY_BYTES = DIGEST_BYTES = 32
SHARE_BYTES = 16
SEALED_BYTES = 2 * SHARE_BYTES + 16
"""Length of two shares and the tag that authenticates them."""


def read_hex(value: Any, length: int) -> bytes:
    """Return the bytes of a hex text.

    Raises:
        MessageError: it is not one of this length.
    """
    try:
        data = bytes.fromhex(value)
    except (TypeError, ValueError):
        data = b""
    if len(data) != length:
        raise MessageError(f"{str(value)[:80]!r} is not {length} bytes in hex")
    return data


def read_shares(
    shares: Any, length: int, clients: Iterable[int], *, may_lack: bool = False
) -> dict[int, str]:
    """Return shares in hex by client, from a message in which the clients are text; empty ones if `may_lack`.

    Raises:
        MessageError: they are not those of exactly these clients, or of another length.
    """
    expected = {str(client): client for client in clients}
    if not isinstance(shares, dict) or shares.keys() != expected.keys():
        raise MessageError(f"expected shares by client, of {', '.join(expected)}")
    for share in shares.values():
        if share != "" or not may_lack:
            read_hex(share, length)
    return {expected[name]: share for name, share in shares.items()}


@dataclass(frozen=True)
class PublicKeys(Message):
    """A site's public keys of one round, in hex.

    Attributes:
        sealing: for the shares that other sites send it.
        masking: for the masks that it has in common with each other site.
        own_mask: sha256 of the secret of the site's own mask, by which a false share is recognized.
        site, signature: the site's name and its signature of `signed_text`; empty without a deployment.
    """

    sealing: str
    masking: str
    own_mask: str
    site: str = ""
    signature: str = ""

    @classmethod
    def from_message(cls, data: Any) -> Self:
        keys = super().from_message(data)
        for value in (keys.sealing, keys.masking):
            read_hex(value, KEY_BYTES)
        read_hex(keys.own_mask, DIGEST_BYTES)
        if not isinstance(keys.site, str) or not isinstance(keys.signature, str):
            raise MessageError("PublicKeys: site or signature is not text")
        return keys

    def signed_text(self, of_round: str, client: int) -> bytes:
        """Return what the site signs: the keys with the round and the id for which they are."""
        return f"keys {of_round} {client} {self.site} {self.sealing} {self.masking} {self.own_mask}".encode()


@dataclass(frozen=True)
class Revealed(Message):
    """What a site reveals at the end of a round, in hex by client id as text; empty where nothing opens.

    Attributes:
        own_masks: its shares of the secrets of survivors' own masks.
        keys: its shares of the secrets of masking keys, of sites that dropped out.
    """

    own_masks: dict[str, str]
    keys: dict[str, str]

    @classmethod
    def read(cls, data: Any, survivors: Iterable[int], dropped: Iterable[int]) -> Self:
        """Return the message.

        Raises:
            MessageError: it has other shares than those of these clients.
        """
        revealed = cls.from_message(data)
        read_shares(revealed.own_masks, SHARE_BYTES, survivors, may_lack=True)
        read_shares(revealed.keys, SHARE_BYTES, dropped, may_lack=True)
        return revealed


@dataclass(frozen=True)
class SecureStep(Order):
    """Base of what a site is asked in a round in addition to its training.

    Attributes:
        round, client: the site and the round.
        step: name of the step, in jobs and messages to people.
    """

    writes = False
    step: ClassVar[str]

    round: int
    client: int

    @classmethod
    def at(cls, order: SiteRoundOrder, client: int, **more: Any) -> Self:
        """Make the order for one site of a round."""
        site = order.sites[client]
        return cls(
            order.run, order.session, order.settings, site["data_digest"], order.versions, 0,
            order.round, client, site=site["name"], origin=order.origin, **more,
        )  # fmt: skip

    @property
    def job(self) -> str:
        return f"{self.step}:{self.round}:{self.client}"

    @property
    def label(self) -> str:
        return f"round {self.round}, {self.step} of site {self.site}"


@dataclass(frozen=True)
class KeysOrder(SecureStep):
    """Announce the site's PublicKeys."""

    task = "tasks.announce_keys"
    step = "keys"


@dataclass(frozen=True)
class SharesOrder(SecureStep):
    """Share the site's secrets among the sites; the answer is {shares: for each other site}.

    Attributes:
        keys: PublicKeys of all sites of the round, by client id as text.
    """

    task = "tasks.share_secrets"
    step = "shares"

    keys: dict[str, Any] = field(kw_only=True)


@dataclass(frozen=True)
class SecureTrainOrder(SiteTrainOrder):
    """Train a site on its own images and mask the update.

    Attributes:
        sealed: what the other sites that take part have sealed for this one, by client id as text.
        total: most images that all sites together can train on, which the site's share in the mean refers to.
    """

    task = "tasks.train_securely"
    is_masked = True

    sealed: dict[str, str] = field(kw_only=True)
    total: int = field(kw_only=True)


@dataclass(frozen=True)
class ConfirmOrder(SecureStep):
    """Confirm whose masked updates are summed; the answer is {signature: of `confirmed_text`}.

    Attributes:
        survivors: ids of these sites.
    """

    task = "tasks.confirm_survivors"
    step = "confirmation"

    survivors: list[int] = field(kw_only=True)

    def confirmed_text(self, agreed: str) -> bytes:
        """Return what every site signs: survivors and round, with the digest `agreed` of its orders."""
        return f"survivors {round_id(self)} {sorted(self.survivors)} {agreed}".encode()


@dataclass(frozen=True)
class RevealOrder(ConfirmOrder):
    """Reveal the shares that unmask the sum; the answer is Revealed.

    Attributes:
        confirmations: signatures of `confirmed_text` by client id as text; empty without a deployment.
    """

    task = "tasks.reveal_shares"
    step = "unmasking"

    confirmations: dict[str, str] = field(kw_only=True)


@dataclass(frozen=True)
class SecureRoundOrder(SiteRoundOrder):
    """Sum the masked updates of a round and remove the masks.

    Attributes:
        replies: ClientReply messages, one for each of `clients`.
        keys: PublicKeys of all sites among which the secrets were shared, by client id as text.
        revealed: Revealed messages, by the id of the site as text.
        total: as for `SecureTrainOrder`.
    """

    task = "tasks.average_securely"

    replies: list[Any] = field(kw_only=True)
    keys: dict[str, Any] = field(kw_only=True)
    revealed: dict[str, Any] = field(kw_only=True)
    total: int = field(kw_only=True)


STEPS = (KeysOrder, SharesOrder, ConfirmOrder, RevealOrder)
"""Steps of a round in addition to the training."""


def round_id(order: SecureStep | SiteRoundOrder | SiteTrainOrder) -> str:
    """Return what keys of a round are bound to: its run, session and number."""
    return f"{order.run}/{order.session}/{order.round}"
