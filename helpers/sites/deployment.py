"""The folder of a deployment at one of its members, which `run.py provision` wrote: keys and certificates."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from helpers.cluster.keys import owner_of
from helpers.cluster.mailbox import Mailbox
from helpers.global_config import Config
from helpers.settings.errors import ConfigError
from helpers.sites import certificates
from helpers.sites.sealing import SealedStore, Sealer
from helpers.weight_store.store import StoreError, WeightStore

COORDINATOR = "coordinator"
"""Name of the member that sends orders and averages."""
SIGNATURE_BYTES = 64
"""Length of an Ed25519 signature."""
KEYS = "keys.json"
"""The member's name and private keys, in hex."""
MEMBERS = "members.json"
"""Public keys of all members, in hex, by name."""
AUTHORITY, CERTIFICATE, CERTIFICATE_KEY = "ca.crt", "tls.crt", "tls.key"
ORDERS, ORDERS_KEY = "orders.crt", "orders.key"
"""Certificate of the coordinator's signature of orders, and its key, which the coordinator alone has."""


@dataclass(frozen=True)
class Member:
    """Public keys of a member.

    Attributes:
        signing: of its signatures (Ed25519).
        sealing: for what is sealed to it (X25519).
    """

    signing: Ed25519PublicKey
    sealing: X25519PublicKey


@dataclass(frozen=True)
class Deployment:
    """Keys of a member of a deployment.

    Attributes:
        folder: all its files.
        name: the member: COORDINATOR or a site.
        signing, sealing: its private keys.
        members: public keys by name.
    """

    folder: Path
    name: str
    signing: Ed25519PrivateKey
    sealing: X25519PrivateKey
    members: Mapping[str, Member]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read the folder of a member.

        Raises:
            ConfigError: a file is missing, wrong, or readable by others.
        """
        try:
            keys, members = (json.loads((folder / name).read_text()) for name in (KEYS, MEMBERS))
            for name in (CERTIFICATE, ORDERS):
                if (left := certificates.days_left((folder / name).read_bytes())) < 0:
                    raise ConfigError(
                        f"DEPLOYMENT: {folder / name} expired {-left:.0f} days ago; get a new one from "
                        "who has the authority (`run.py provision --renew`)"
                    )
            if os.name == "posix" and (folder / KEYS).stat().st_mode & 0o077:
                raise ConfigError(f"DEPLOYMENT: other users can read {folder / KEYS}: chmod 600 it")
            return cls(
                folder, keys["name"],
                Ed25519PrivateKey.from_private_bytes(bytes.fromhex(keys["signing"])),
                X25519PrivateKey.from_private_bytes(bytes.fromhex(keys["sealing"])),
                {name: _member(public) for name, public in members.items()},
            )  # fmt: skip
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ConfigError(
                f"DEPLOYMENT: {folder} is not a folder that `run.py provision` wrote ({error})"
            ) from None

    def sign(self, data: bytes) -> str:
        """Return this member's signature of bytes, in hex."""
        return self.signing.sign(data).hex()

    def verify(self, name: str, data: bytes, signature: str) -> bool:
        """Return whether a signature of bytes is that of a member."""
        if name not in self.members:
            return False
        try:
            self.members[name].signing.verify(bytes.fromhex(signature), data)
        except (InvalidSignature, ValueError):
            return False
        return True

    def open_board(self, client: Any, run: str, session: str) -> Mailbox:
        """Return the job board of a run as this member sees it; what it answers is signed and sealed."""
        return Mailbox(client, run, session, site=self.name, envelopes=self)

    @property
    def averaging(self) -> str:
        """The member that averages."""
        return COORDINATOR

    def has_member(self, site: str) -> bool:
        """Return whether a site is a member."""
        return site in self.members

    def close_letter(self, mailbox: str, text: bytes) -> bytes:
        """Return a letter that this member has signed and sealed to the coordinator, for a key of its own."""
        return self._sealer_of(mailbox).seal(mailbox, self.signing.sign(text) + text)

    def open_letter(self, mailbox: str, letter: bytes) -> bytes:
        """Return the text of a letter that the mailbox's owner has signed and sealed.

        Raises:
            ValueError: he has not.
        """
        owner = owner_of(mailbox) or COORDINATOR
        try:
            signed = self._sealer_of(mailbox).open(mailbox, letter)
        except StoreError:
            raise ValueError(f"it is not sealed by site {owner}") from None
        signature, text = signed[:SIGNATURE_BYTES], signed[SIGNATURE_BYTES:]
        if not self.verify(owner, text, signature.hex()):
            raise ValueError(f"its signature is not that of site {owner}")
        return text

    def sealer_for(self, key: str) -> Sealer | None:
        """Return what seals the blob under a key of the weight store; None for one that is not a site's.

        Raises:
            StoreError: the site is not a member.
        """
        return self._sealer_of(key) if owner_of(key) else None

    def _sealer_of(self, key: str) -> Sealer:
        """Return what seals between the coordinator and the member whose key it is."""
        owner = owner_of(key) or COORDINATOR
        other = COORDINATOR if owner == self.name else owner
        if other not in self.members:
            raise StoreError(f"{key}: {other} is not a member of this deployment")
        return Sealer(self.sealing, self.members[other].sealing)

    def sealed(self, store: WeightStore) -> WeightStore:
        """Return a store that seals and opens the blobs of sites in `store`."""
        return SealedStore(store, self.sealer_for)

    @property
    def orders_certificate(self) -> Path:
        """The certificate with which orders are verified."""
        return self.folder / ORDERS

    def order_signature(self) -> dict[str, str]:
        """Return key and certificate with which this member signs orders, as PEM: nothing at a site."""
        if self.name != COORDINATOR:
            return {}
        return {"key": (self.folder / ORDERS_KEY).read_text(), "cert": self.orders_certificate.read_text()}


def open_deployment(config: Config) -> Deployment:
    """Return the deployment of this machine.

    Raises:
        ConfigError: as `Deployment.open`, it belongs to another member, or the settings do not fit it.
    """
    if config.NAMESPACE or config.WEIGHT_STORE != "redis":
        raise ConfigError(
            "DEPLOYMENT: leave NAMESPACE and WEIGHT_STORE at their defaults: the users of its Redis reach "
            "no other keys"
        )
    deployment, name = Deployment.open(Path(config.DEPLOYMENT)), config.SITE or COORDINATOR
    if deployment.name != name:
        raise ConfigError(f"DEPLOYMENT: {config.DEPLOYMENT} is that of {deployment.name}, not of {name}")
    return deployment


def _member(public: Mapping[str, str]) -> Member:
    signing, sealing = (bytes.fromhex(public[name]) for name in ("signing", "sealing"))
    return Member(Ed25519PublicKey.from_public_bytes(signing), X25519PublicKey.from_public_bytes(sealing))
