"""A site's part: it masks once, and reveals one of a site's two secrets to one set of survivors."""

import numpy as np
import pytest

from helpers.federated.sites.secure_messages import PublicKeys
from helpers.secure_aggregation.member import Member, ProtocolError
from tests.unit.helpers.secure_aggregation.secure_rounds import ROUND, encoded, random_weights

Sealed = dict[int, dict[int, str]]


@pytest.fixture
def members() -> dict[int, Member]:
    return {client: Member(client, ROUND) for client in range(4)}


@pytest.fixture
def keys(members: dict[int, Member]) -> dict[int, PublicKeys]:
    return {client: member.public_keys() for client, member in members.items()}


@pytest.fixture
def sealed(members: dict[int, Member], keys: dict[int, PublicKeys]) -> Sealed:
    """What each site seals, by sender and receiver."""
    return {client: member.share(keys) for client, member in members.items()}


def sent_to(client: int, sealed: Sealed) -> dict[int, str]:
    return {other: shares[client] for other, shares in sealed.items() if other != client}


def vector() -> list[np.ndarray]:
    return encoded(random_weights(1), random_weights(2), 1, 1)


def test_shares_are_for_all_others_and_asked_again_are_the_same(
    members: dict[int, Member], keys: dict[int, PublicKeys], sealed: Sealed
) -> None:
    assert [sorted(shares) for shares in sealed.values()] == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
    assert members[0].share(keys) == sealed[0]


def test_it_shares_among_one_set_of_keys_only(
    members: dict[int, Member], keys: dict[int, PublicKeys], sealed: Sealed
) -> None:
    with pytest.raises(ProtocolError, match="among other keys before"):
        members[0].share({**keys, 3: Member(3, ROUND).public_keys()})


def test_its_own_keys_cannot_be_replaced(members: dict[int, Member], keys: dict[int, PublicKeys]) -> None:
    for wrong in ({**keys, 0: keys[1]}, {client: keys[client] for client in (1, 2, 3)}):
        with pytest.raises(ProtocolError, match="in place of this site's own"):
            members[0].share(wrong)


def test_a_sum_over_one_site_is_refused(members: dict[int, Member], keys: dict[int, PublicKeys]) -> None:
    with pytest.raises(ProtocolError, match="one site is too few"):
        members[0].share({0: keys[0]})


def test_it_masks_once(members: dict[int, Member], sealed: Sealed) -> None:
    members[0].mask(vector(), sent_to(0, sealed))
    with pytest.raises(ProtocolError, match="already sent"):
        members[0].mask(vector(), sent_to(0, sealed))


def test_it_does_not_mask_with_too_few_or_unknown_sites(members: dict[int, Member], sealed: Sealed) -> None:
    with pytest.raises(ProtocolError, match="2 of 4 sites are left, 3 are needed"):
        members[0].mask(vector(), {1: sealed[1][0]})
    with pytest.raises(ProtocolError, match="whose keys are not known"):
        members[0].mask(vector(), {**sent_to(0, sealed), 7: sealed[1][0]})


def test_it_reveals_one_secret_of_each_site(members: dict[int, Member], sealed: Sealed) -> None:
    members[0].mask(vector(), sent_to(0, sealed))
    revealed = members[0].reveal([0, 1, 3])
    assert (sorted(revealed.own_masks), sorted(revealed.keys)) == (["0", "1", "3"], ["2"])
    assert members[0].reveal([3, 1, 0]) == revealed
    with pytest.raises(ProtocolError, match="confirmed other survivors before"):
        members[0].reveal([0, 1, 2, 3])


@pytest.mark.parametrize(
    ("survivors", "reason"),
    [([0, 1], "2 of 4"), ([1, 2, 3], "not among"), ([0, 1, 2, 9], "not among"), ([], "not among")],
)
def test_it_reveals_nothing_for_too_few_or_unknown_survivors(
    members: dict[int, Member], sealed: Sealed, survivors: list[int], reason: str
) -> None:
    members[0].mask(vector(), sent_to(0, sealed))
    with pytest.raises(ProtocolError, match=reason):
        members[0].reveal(survivors)


def test_it_reveals_nothing_before_it_has_masked(members: dict[int, Member], sealed: Sealed) -> None:
    with pytest.raises(ProtocolError, match="masked with this one"):
        members[0].reveal([0, 1, 2, 3])


def test_shares_of_another_sender_are_not_revealed(members: dict[int, Member], sealed: Sealed) -> None:
    members[0].mask(vector(), {**sent_to(0, sealed), 1: sealed[2][0]})
    own_masks = members[0].reveal([0, 1, 2, 3]).own_masks
    assert (own_masks["1"], {len(own_masks[client]) for client in "023"}) == ("", {32})
