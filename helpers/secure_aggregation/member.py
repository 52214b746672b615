"""A site's part in one securely aggregated round."""

import hashlib
import os
from collections.abc import Collection, Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from helpers.federated.messages import MessageError
from helpers.federated.quorum import two_thirds
from helpers.federated.sites.secure_messages import KEY_BYTES, SEALED_BYTES, PublicKeys, Revealed, read_hex
from helpers.secure_aggregation.fixed_point import Residues
from helpers.secure_aggregation.masks import (
    SEED_BYTES,
    add_mask,
    agree,
    derive_key,
    private_key,
    public_bytes,
)
from helpers.secure_aggregation.shares import split_secret


class ProtocolError(Exception):
    """A step that this site refuses, as it could reveal its update; the text says why."""


class Member:
    """A site in one round of Protocol 4 of Bonawitz et al. 2017, "Practical Secure Aggregation for
    Privacy-Preserving Machine Learning", without its signatures.

    It masks its vector once: with a mask of its own, and with one for each other site, which that site
    subtracts. It reveals its share of either secret of a site, never of both.

    Args:
        client: id of the site.
        round_id: run, session and round; keys of one do not fit another.
    """

    def __init__(self, client: int, round_id: str) -> None:
        self._client = client
        self._round_id = round_id
        self._sealing = private_key(os.urandom(SEED_BYTES))
        self._masking_seed = os.urandom(SEED_BYTES)
        self._masking = private_key(self._masking_seed)
        self._own_mask_seed = os.urandom(SEED_BYTES)
        self._keys: dict[int, PublicKeys] = {}
        self._kept: tuple[bytes, bytes] = (b"", b"")  # its shares of its own secrets
        self._sealed_for_others: dict[int, str] = {}
        self._sealed: dict[int, str] = {}
        self._survivors: set[int] = set()

    def public_keys(self) -> PublicKeys:
        """Return the keys that the others need (round 0 of the protocol)."""
        of_own_mask = hashlib.sha256(self._own_mask_seed).hexdigest()
        return PublicKeys(public_bytes(self._sealing).hex(), public_bytes(self._masking).hex(), of_own_mask)

    def share(self, keys: Mapping[int, PublicKeys]) -> dict[int, str]:
        """Return shares of this site's two secrets, sealed for each other site (round 1), in hex.

        Args:
            keys: of all sites of the round, with its own.

        Raises:
            ProtocolError: too few sites, its own keys are missing, or it has shared with others before.
        """
        if self._keys:
            if self._keys != keys:
                raise ProtocolError("this site has shared its secrets among other keys before")
            return self._sealed_for_others
        if len(keys) < 2:
            raise ProtocolError("one site is too few for a sum that hides it")
        if keys.get(self._client) != self.public_keys():
            raise ProtocolError("the keys of the round have others in place of this site's own")
        self._keys = dict(keys)
        own_mask = split_secret(self._own_mask_seed, list(keys))
        masking = split_secret(self._masking_seed, list(keys))
        self._kept = own_mask[self._client], masking[self._client]
        self._sealed_for_others = {
            other: self._cipher(other)
            .encrypt(_nonce(self._client), own_mask[other] + masking[other], None)
            .hex()
            for other in keys
            if other != self._client
        }
        return self._sealed_for_others

    def mask(self, residues: Residues, sealed: Mapping[int, str]) -> None:
        """Mask this site's vector in place (round 2).

        Args:
            residues: from `encode_change`.
            sealed: what each other site that takes part has sealed for this one.

        Raises:
            ProtocolError: too few sites, unknown ones, or the site has masked a vector before.
        """
        if self._sealed:
            raise ProtocolError("this site has already sent its update of this round")
        if not sealed.keys() <= self._keys.keys() - {self._client}:
            raise ProtocolError("shares of sites whose keys are not known")
        self._check_number(len(sealed) + 1)
        self._sealed = dict(sealed)
        add_mask(residues, own_mask_key(self._own_mask_seed), 1)
        for other in sealed:
            key = pairwise_mask_key(self._masking, self._keys[other], self._round_id)
            add_mask(residues, key, pairwise_sign(self._client, other))

    def confirm(self, survivors: Collection[int]) -> None:
        """Take the sites whose masked vectors are summed for those of the round, and no others (round 3).

        Raises:
            ProtocolError: too few survivors, unknown ones, or it has confirmed others before.
        """
        chosen, members = set(survivors), self._sealed.keys() | {self._client}
        if not self._sealed or self._client not in chosen or not chosen <= members:
            raise ProtocolError(
                "the survivors of the round are not among the sites that masked with this one"
            )
        self._check_number(len(chosen))
        if self._survivors not in (set(), chosen):
            raise ProtocolError("this site has confirmed other survivors before")
        self._survivors = chosen

    def reveal(self, survivors: Collection[int]) -> Revealed:
        """Return the shares that unmask the sum over the survivors (round 4), without those that do not open.

        Raises:
            ProtocolError: as `confirm`.
        """
        self.confirm(survivors)
        own_masks, masking = {}, {}
        for client in sorted(self._sealed.keys() | {self._client}):
            own, key = self._kept if client == self._client else self._open(client)
            if client in self._survivors:
                own_masks[str(client)] = own.hex()
            else:
                masking[str(client)] = key.hex()
        return Revealed(own_masks, masking)

    def _check_number(self, number: int) -> None:
        needed = two_thirds(len(self._keys))
        if number < needed:
            raise ProtocolError(f"{number} of {len(self._keys)} sites are left, {needed} are needed")

    def _open(self, other: int) -> tuple[bytes, bytes]:
        """Return the shares of another site's secrets: of its own mask, and of its masking key; empty ones if
        what it sealed does not open.
        """
        try:
            data = read_hex(self._sealed[other], SEALED_BYTES)
            shares = self._cipher(other).decrypt(_nonce(other), data, None)
        except (InvalidTag, MessageError):
            return b"", b""
        return shares[:SEED_BYTES], shares[SEED_BYTES:]

    def _cipher(self, other: int) -> ChaCha20Poly1305:
        purpose = f"shares {self._round_id}".encode()
        return ChaCha20Poly1305(agree(self._sealing, read_hex(self._keys[other].sealing, KEY_BYTES), purpose))


def own_mask_key(seed: bytes) -> bytes:
    """Return the key of a site's own mask."""
    return derive_key(seed, b"own mask")


def pairwise_mask_key(own: Any, other: PublicKeys, round_id: str) -> bytes:
    """Return the key of the mask that two sites have in common.

    Args:
        own: the masking key of one of them.
        other: public keys of the other one.
        round_id: as for `Member`.
    """
    return agree(own, read_hex(other.masking, KEY_BYTES), f"mask {round_id}".encode())


def pairwise_sign(client: int, other: int) -> int:
    """Return whether a client adds the mask that it has in common with another one, or subtracts it."""
    return 1 if client < other else -1


def _nonce(sender: int) -> bytes:
    """Return the nonce of a sender: two sites have one key in common, and each seals one message with it."""
    return sender.to_bytes(12, "big")
