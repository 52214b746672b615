"""Messages of a round under masks: nothing of another form is taken."""

import pytest

from helpers.federated.messages import MessageError
from helpers.federated.sites.messages import SiteRoundOrder, SiteTrainOrder
from helpers.federated.sites.secure_messages import (
    PublicKeys,
    Revealed,
    SecureTrainOrder,
    SharesOrder,
    read_shares,
    round_id,
)
from tests.unit.helpers.federated.sites.test_messages import FACTS, digest, site

KEYS = {"sealing": "ab" * 32, "masking": "cd" * 32, "own_mask": "ef" * 32, "site": "", "signature": ""}
ORDER = SiteRoundOrder(
    **FACTS | {"settings": {"SECURE_AGGREGATION": True}},
    round=3, clients=[0, 1], weights={}, sent_at=0.0, num_clients=2, sites=[site("a"), site("b")],
)  # fmt: skip


def test_a_step_is_for_one_site_and_names_no_other() -> None:
    order = SharesOrder.at(ORDER, 1, keys={"0": KEYS, "1": KEYS})
    assert SharesOrder.from_message(order.to_message()) == order
    assert (order.site, order.data_digest, order.job) == ("b", digest("b"), "shares:3:1")
    assert order.label == "round 3, shares of site b"
    assert not hasattr(order, "sites")
    assert round_id(order) == round_id(ORDER) == "r/s/3"


def secure_training(**settings: bool) -> SecureTrainOrder:
    training = vars(SiteTrainOrder.at(ORDER, 1)) | {"settings": settings}
    return SecureTrainOrder(**training, sealed={"0": "ef"}, total=9)


def test_an_update_leaves_unmasked_only_where_the_run_says_so() -> None:
    secure, plain = secure_training(SECURE_AGGREGATION=True), SiteTrainOrder.at(ORDER, 1)
    assert SecureTrainOrder.from_message(secure.to_message()) == secure
    with pytest.raises(MessageError, match="not an order of a run with SECURE_AGGREGATION=True"):
        SiteTrainOrder.from_message(plain.to_message())
    for settings in ({}, {"SECURE_AGGREGATION": False}, {"SECURE_AGGREGATION": 1}):
        with pytest.raises(MessageError, match="with SECURE_AGGREGATION=False"):
            SecureTrainOrder.from_message(secure_training(**settings).to_message())


def test_a_share_that_did_not_open_is_empty() -> None:
    empty = {"own_masks": {"0": ""}, "keys": {"4": ""}}
    assert Revealed.read(empty, [0], [4]).to_message() == empty
    with pytest.raises(MessageError, match="bytes in hex"):
        PublicKeys.from_message(KEYS | {"masking": ""})


@pytest.mark.parametrize("text", ["zz", "ab" * 31, 5, None, ["ab"]])
def test_what_is_not_hex_of_the_right_length_is_refused(text: object) -> None:
    with pytest.raises(MessageError, match="bytes in hex"):
        PublicKeys.from_message(KEYS | {"masking": text})
    with pytest.raises(MessageError, match="bytes in hex"):
        Revealed.read({"own_masks": {"0": text}, "keys": {}}, [0], [])
    with pytest.raises(MessageError, match="bytes in hex"):
        Revealed.read({"own_masks": {}, "keys": {"4": text}}, [], [4])


@pytest.mark.parametrize("shares", [None, [], "ab", {}, {"1": "ab"}, {"0": "ab", "1": "ab"}])
def test_shares_of_other_clients_are_refused(shares: object) -> None:
    assert read_shares({"0": "ab"}, 1, [0]) == {0: "ab"}
    with pytest.raises(MessageError, match="expected shares by client, of 0"):
        read_shares(shares, 1, [0])
