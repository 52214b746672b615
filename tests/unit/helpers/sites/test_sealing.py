"""Sealed blobs: both parties open them, nobody else, and only under their own key."""

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from helpers.sites.sealing import OVERHEAD, SealedStore, Sealer
from helpers.weight_store.codec import Digest, start_digest
from helpers.weight_store.store import MemoryStore, StoreError

NORTH, HUB, SOUTH = (X25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2, 3))
KEY = "dt:site:north:run:s:update:1:0:0"


def sealer(own: X25519PrivateKey, other: X25519PrivateKey) -> Sealer:
    return Sealer(own, other.public_key())


def test_both_parties_open_what_either_sealed() -> None:
    for sender, receiver in ((NORTH, HUB), (HUB, NORTH)):
        sealed = sealer(sender, receiver).seal(KEY, b"weights")
        assert len(sealed) == len(b"weights") + OVERHEAD
        assert b"weights" not in sealed
        assert sealer(receiver, sender).open(KEY, sealed) == b"weights"
        assert sealer(sender, receiver).open(KEY, sealed) == b"weights"


def test_equal_bytes_are_sealed_differently() -> None:
    north = sealer(NORTH, HUB)
    assert north.seal(KEY, b"weights") != north.seal(KEY, b"weights")


@pytest.mark.parametrize("position", [0, 31, 32, 40, -1])
def test_a_changed_byte_is_noticed(position: int) -> None:
    sealed = bytearray(sealer(NORTH, HUB).seal(KEY, b"weights" * 9))
    sealed[position] ^= 1
    with pytest.raises(StoreError, match="or changed"):
        sealer(HUB, NORTH).open(KEY, bytes(sealed))


def test_a_third_party_and_another_key_open_nothing() -> None:
    sealed = sealer(NORTH, HUB).seal(KEY, b"weights")
    for wrong, key in ((sealer(SOUTH, NORTH), KEY), (sealer(SOUTH, HUB), KEY), (sealer(HUB, NORTH), "x")):
        with pytest.raises(StoreError):
            wrong.open(key, sealed)
    for short in (b"", sealed[:10], sealed[: OVERHEAD - 1]):
        with pytest.raises(StoreError):
            sealer(HUB, NORTH).open(KEY, short)


def test_a_store_seals_the_blobs_of_sites_only() -> None:
    inside = MemoryStore()
    north = sealer(NORTH, HUB)
    store = SealedStore(inside, lambda key: north if key.startswith("dt:site:") else None)
    store.put(KEY, [b"up", b"date"])
    store.put("weights", [b"global"])
    assert inside.blobs["weights"] == b"global"
    assert b"update" not in inside.blobs[KEY]
    digest = Digest()
    assert store.get(KEY, 6, digest) == b"update"
    assert digest.hexdigest() == start_digest([b"update"]).hexdigest()
    assert store.get("weights", 6) == b"global"
    with pytest.raises(StoreError, match="more bytes"):
        store.get(KEY, 5)
    store.delete([KEY])
    assert set(inside.blobs) == {"weights"}
