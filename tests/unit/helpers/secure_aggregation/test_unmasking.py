"""The whole protocol: the exact sum of the survivors, whoever drops out; with too few it stays hidden."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.federated.aggregation import weighted_mean
from helpers.federated.quorum import two_thirds
from helpers.federated.sites.secure_messages import Revealed
from helpers.secure_aggregation.fixed_point import FRACTION_BITS, Residues, add_residues
from helpers.secure_aggregation.member import Member, ProtocolError
from helpers.secure_aggregation.unmasking import remove_masks
from tests.unit.helpers.secure_aggregation.secure_rounds import (
    IS_TRAINED,
    ROUND,
    decoded,
    encoded,
    masked_sum,
    random_weights,
)

START = random_weights(100)


def vectors(num_sites: int) -> dict[int, Residues]:
    """Vectors of clients 0, 3, 6, …: ids of a run need not be successive."""
    return {3 * site: encoded(random_weights(site), START, site + 1, 100) for site in range(num_sites)}


def plain_sum(chosen: dict[int, Residues]) -> Residues:
    sums = [np.zeros(array.shape, np.uint32) for array in START]
    for vector in chosen.values():
        add_residues(sums, vector)
    return sums


def assert_equal(got: Residues, want: Residues) -> None:
    for one, other in zip(got, want, strict=True):
        np.testing.assert_array_equal(one, other)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 8), st.data())
def test_whoever_drops_out_the_sum_is_that_of_the_survivors(num_sites: int, data: st.DataObject) -> None:
    everyone = vectors(num_sites)
    fates = data.draw(st.lists(st.sampled_from("kmre"), min_size=num_sites, max_size=num_sites))
    gone = {fate: {c for c, f in zip(everyone, fates, strict=True) if f == fate} for fate in "kmr"}
    survivors = {c: v for c, v in everyone.items() if c not in gone["k"] | gone["m"]}
    arguments = (everyone, gone["m"], gone["k"], gone["r"])
    if len(survivors.keys() - gone["r"]) < two_thirds(num_sites):
        if survivors:
            with pytest.raises((ProtocolError, ValueError), match=r"are left|are needed"):
                masked_sum(*arguments)
    else:
        assert_equal(masked_sum(*arguments), plain_sum(survivors))


def test_the_mean_is_that_of_fedavg_without_the_site_that_dropped_out() -> None:
    everyone, counts = vectors(6), {3 * site: site + 1 for site in range(6)}
    sums = masked_sum(everyone, dropped_before=[6])
    weight = sum(counts.values()) - counts[6]
    mean = decoded(sums, START, weight, 100)
    expected = weighted_mean((random_weights(c // 3), n) for c, n in counts.items() if c != 6)
    for got, want, is_trained in zip(mean, expected, IS_TRAINED, strict=True):
        most = 5 / 2 * 100 / weight * 2.0 ** -FRACTION_BITS[is_trained]
        assert np.abs(got - want).max() <= most + np.spacing(np.abs(want)).max()


def test_equal_input_gives_equal_bits_whatever_the_masks() -> None:
    results = [decoded(masked_sum(vectors(3)), START, 6, 100) for _ in range(2)]
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def masked_by_four(survivors: list[int]) -> tuple[dict[int, Member], dict, Residues]:
    """Members 0…3 that have all shared, the survivors' masked sum, and the keys."""
    members = {client: Member(client, ROUND) for client in range(4)}
    keys = {client: member.public_keys() for client, member in members.items()}
    sealed = {client: member.share(keys) for client, member in members.items()}
    sums = [np.zeros(array.shape, np.uint32) for array in START]
    for client in survivors:
        vector = encoded(random_weights(client), START, 1, 4)
        members[client].mask(vector, {c: shares[client] for c, shares in sealed.items() if c != client})
        add_residues(sums, vector)
    return members, keys, sums


def test_one_reply_too_few_reveals_nothing() -> None:
    members, keys, sums = masked_by_four([0, 1, 2, 3])
    before = [array.copy() for array in sums]
    for some in combinations(range(4), 2):
        revealed = [(client, members[client].reveal(range(4))) for client in some]
        with pytest.raises(ValueError, match="2 shares, 3 are needed"):
            remove_masks(sums, keys, range(4), range(4), revealed, ROUND)
        assert_equal(sums, before)


def test_what_is_revealed_does_not_unmask_a_part_of_the_survivors() -> None:
    """A late vector stays hidden: its site counted as dropped out, and its own mask is not revealed."""
    members, keys, _ = masked_by_four([0, 1, 2, 3])
    revealed = [(client, members[client].reveal([0, 1, 2])) for client in (0, 1, 2)]
    for survivors in ([0, 1, 2, 3], [0, 1], [3]):
        sums = [np.zeros(array.shape, np.uint32) for array in START]
        with pytest.raises(ValueError, match="shares, 3 are needed"):
            remove_masks(sums, keys, range(4), survivors, revealed, ROUND)


@pytest.mark.parametrize("survivors", [[0, 1, 2], [0, 1, 2, 3]])
def test_a_site_that_reveals_false_shares_does_not_spoil_the_sum(survivors: list[int]) -> None:
    members, keys, sums = masked_by_four(survivors)
    revealed = [(client, members[client].reveal(survivors)) for client in survivors]
    for shares in (revealed[1][1].keys, revealed[1][1].own_masks):
        shares.update(dict.fromkeys(shares, "00" * 16))
    arguments = keys, range(4), survivors, revealed, ROUND
    if len(survivors) == 3:  # all of them are needed
        with pytest.raises(ValueError, match="the secret of client 0: no 3 of 3 shares give it"):
            remove_masks(sums, *arguments)
    else:
        remove_masks(sums, *arguments)
        assert_equal(sums, plain_sum({c: encoded(random_weights(c), START, 1, 4) for c in survivors}))


def test_a_site_that_seals_nothing_of_use_is_named() -> None:
    members = {client: Member(client, ROUND) for client in range(4)}
    keys = {client: member.public_keys() for client, member in members.items()}
    sealed = {client: member.share(keys) for client, member in members.items()}
    sealed[3] = dict.fromkeys(range(3), "00" * 48)
    sums = [np.zeros(array.shape, np.uint32) for array in START]
    for client, member in members.items():
        vector = encoded(random_weights(client), START, 1, 4)
        member.mask(vector, {c: shares[client] for c, shares in sealed.items() if c != client})
        add_residues(sums, vector)
    revealed = [(client, member.reveal(range(4))) for client, member in members.items()]
    assert [Revealed.read(each.to_message(), range(4), []) for _, each in revealed]
    with pytest.raises(ValueError, match="the secret of client 3: 1 shares, 3 are needed"):
        remove_masks(sums, keys, range(4), range(4), revealed, ROUND)
