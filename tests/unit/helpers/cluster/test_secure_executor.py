"""The coordinator's part in a round under masks; sites are played in this process, training left out."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helpers.cluster import secure_executor
from helpers.cluster.absent_clients import RoundTerms
from helpers.cluster.errors import QuorumMissed
from helpers.cluster.mailbox import SiteBoard
from helpers.cluster.secure_executor import SecureExecutor
from helpers.federated.cohort import Cohort
from helpers.federated.messages import Reference
from helpers.federated.replies import ClientReply
from helpers.federated.sites.secure_messages import (
    ConfirmOrder,
    KeysOrder,
    PublicKeys,
    Revealed,
    RevealOrder,
    SecureRoundOrder,
    SecureTrainOrder,
    SharesOrder,
    round_id,
)
from helpers.secure_aggregation.member import Member
from helpers.secure_aggregation.unmasking import remove_masks
from tests.unit.helpers.federated.sites.test_messages import FACTS, site

SITES = [site(name) for name in "abcd"]
FACTS_OF_RUN = {name: value for name, value in FACTS.items() if name != "attempt"}
VECTORS = [np.arange(client, client + 3, dtype=np.uint32) for client in range(4)]


DEADLINE_S = STEP_S = 60.0


class PlayedSites:
    """Sites in place of the dispatcher.

    Args:
        wrong: what a site answers instead, by step and client.
        dead: sites that do not train.

    Attributes:
        time: of a clock on which the first two steps take STEP_S each.
        left_s, sent_at: seconds until the deadline when the trainings are sent, and what their orders say.
    """

    def __init__(self, wrong: dict[tuple[type, int], Any], dead: tuple[int, ...]) -> None:
        self.time = 1000.0
        self.left_s: list[float] = []
        self.sent_at: set[float] = set()
        self.members: dict[int, Member] = {}
        self.masked: dict[int, np.ndarray] = {}
        self.averaging: SecureRoundOrder | None = None
        self.asked: list[str] = []
        self.confirmed: list[int] = []
        self._wrong = wrong
        self._dead = dead

    def run_orders(self, orders: Any, on_failure: Any, deadline: Any, on_progress: Any = None) -> list[Any]:
        self.asked += [order.job for order in orders]
        if isinstance(orders[0], SecureTrainOrder):
            self.left_s.append(deadline.at - self.time)
            self.sent_at |= {order.sent_at for order in orders}
        elif isinstance(orders[0], KeysOrder | SharesOrder):
            self.time += STEP_S
        return [self._wrong.get((type(order), order.client)) or self._answer(order) for order in orders]

    def run_order(self, order: SecureRoundOrder) -> dict[str, Any]:
        self.averaging = order
        return {}

    def _answer(self, order: Any) -> dict[str, Any]:
        match order:
            case KeysOrder():
                member = self.members[order.client] = Member(order.client, round_id(order))
                return member.public_keys().to_message()
            case SharesOrder():
                keys = {int(client): PublicKeys.from_message(each) for client, each in order.keys.items()}
                return {"shares": {str(c): s for c, s in self.members[order.client].share(keys).items()}}
            case SecureTrainOrder():
                return self._train(order)
            case RevealOrder():
                assert order.confirmations == {str(client): "ok" for client in self.confirmed}
                return self.members[order.client].reveal(order.survivors).to_message()
            case ConfirmOrder():
                self.members[order.client].confirm(order.survivors)
                self.confirmed.append(order.client)
                return {"signature": "ok"}
        raise AssertionError(order)

    def _train(self, order: SecureTrainOrder) -> dict[str, Any]:
        if order.client in self._dead:
            return ClientReply(1, order.client, 0, "w", "failed", "dead").to_message()
        vector = VECTORS[order.client].copy()
        self.members[order.client].mask([vector], {int(c): sealed for c, sealed in order.sealed.items()})
        self.masked[order.client] = vector
        done = {"train_loss": 0.5, "update": {}, "tally": {}}
        return ClientReply(1, order.client, 0, "w", "ok", **done).to_message()


def run_round(
    wrong: dict[tuple[type, int], Any], dead: tuple[int, ...] = ()
) -> tuple[PlayedSites, list[str]]:
    """Run a round of four sites; return them and the notices."""
    played, notices = PlayedSites(wrong, dead), []
    clock = SimpleNamespace(tick=lambda: played.time)

    def ask(question: Callable[[], Any]) -> Any:
        return question()

    executor = SecureExecutor.__new__(SecureExecutor)
    board = SiteBoard.__new__(SiteBoard)
    board.verify = lambda name, data, signature: signature != "false"
    parts: dict[str, Any] = {
        "_board": board,
        "_supervisor": SimpleNamespace(retry_redis=ask, clock=clock, notice=notices.append),
        "_dispatcher": played,
        "_facts": FACTS_OF_RUN | {"settings": {"LOCAL_EPOCHS": 2, "SECURE_AGGREGATION": True}},
        "_terms": RoundTerms(60.0, 2, DEADLINE_S),
        "_absent_clients": SimpleNamespace(
            mark_failed=None, mark_missing=None, check_quorum=lambda *arguments: None
        ),
        "_result_of": lambda order, answer: SimpleNamespace(
            clients=[{"round": 1, "client": client, "status": "ok"} for client in order.clients]
        ),
    }
    vars(executor).update(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secure_executor, "time", SimpleNamespace(monotonic=lambda: played.time))
        executor.run_round(1, Cohort(4, [0, 1, 2, 3], SITES), Reference("k", 0, "", ()), {})
    return played, notices


def unmasked(played: PlayedSites) -> list[int]:
    """The sum that the aggregator gets."""
    order = played.averaging
    assert order is not None
    survivors = [client for client in order.clients if client in played.masked]
    sums = sum(played.masked.values(), np.zeros(3, np.uint32))
    keys = {int(client): PublicKeys.from_message(each) for client, each in order.keys.items()}
    revealed = [(int(client), Revealed.from_message(each)) for client, each in order.revealed.items()]
    remove_masks([sums], keys, order.clients, survivors, revealed, round_id(order))
    return sums.tolist()


def test_what_is_sent_unmasks_the_sum() -> None:
    played, notices = run_round({})
    assert unmasked(played) == [6, 10, 14]
    assert played.averaging is not None
    assert played.averaging.total == 2 * 4 * 11  # LOCAL_EPOCHS of the images of all
    assert len(played.averaging.replies) == 4
    assert notices == []


@pytest.mark.parametrize("step", [KeysOrder, SharesOrder])
@pytest.mark.parametrize("answer", [{"error": "left"}, {"masking": "ab"}, {"shares": {"0": "ab"}}, {"x": 1}])
def test_a_site_without_a_good_answer_is_not_in_the_round(step: type, answer: dict[str, Any]) -> None:
    played, notices = run_round({(step, 2): answer})
    assert played.averaging is not None
    assert played.averaging.clients == [0, 1, 3]
    assert played.averaging.total == 2 * 3 * 11
    assert unmasked(played) == [4, 7, 10]
    (notice,) = notices
    assert notice.startswith("round 1, ")
    assert "of site c: " in notice
    assert notice.endswith("; the site has dropped out of the round")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"signature": "false"}, "the site has not signed its keys"),
        ({"site": "b"}, "the site has not signed its keys"),
        ({"masking": "00" * 32}, "no site can agree on a secret with its keys"),
        ({"sealing": "01" + "00" * 31}, "no site can agree on a secret with its keys"),
    ],
)
def test_a_site_with_false_keys_is_not_in_the_round(wrong: dict[str, str], why: str) -> None:
    keys = Member(2, "r/s/1").public_keys().to_message()
    played, notices = run_round({(KeysOrder, 2): keys | wrong})
    assert unmasked(played) == [4, 7, 10]
    assert notices == [f"round 1, keys of site c: {why}; the site has dropped out of the round"]


def test_sites_have_the_whole_deadline_for_their_training_after_a_site_was_silent() -> None:
    """Each step before the training has waited for its whole deadline."""
    played, _ = run_round({(SharesOrder, 2): {"error": "no reply within 60 s"}})
    assert played.left_s == [DEADLINE_S]
    assert played.sent_at == {played.time}


def test_a_site_that_dies_in_its_training_is_not_in_the_sum() -> None:
    played, _ = run_round({}, dead=(1,))
    assert played.averaging is not None
    assert played.averaging.clients == [0, 1, 2, 3]
    assert played.asked[-3:] == ["unmasking:1:0", "unmasking:1:2", "unmasking:1:3"]
    assert unmasked(played) == [5, 8, 11]


def test_a_site_that_does_not_reveal_is_in_the_sum() -> None:
    played, notices = run_round({(RevealOrder, 1): {"error": "no reply within 60 s"}})
    assert unmasked(played) == [6, 10, 14]
    assert notices == [
        "round 1, unmasking of site b: no reply within 60 s; the site has dropped out of the round"
    ]


@pytest.mark.parametrize("answer", [{"error": "no reply within 60 s"}, {"signature": 5}])
def test_a_site_that_does_not_confirm_the_survivors_is_in_the_sum_too(answer: dict[str, Any]) -> None:
    played, notices = run_round({(ConfirmOrder, 1): answer})
    assert unmasked(played) == [6, 10, 14]
    assert "unmasking:1:1" not in played.asked
    assert notices[0].startswith("round 1, confirmation of site b: ")


def test_a_site_with_several_workers_is_named_once() -> None:
    notices: list[str] = []
    executor = SecureExecutor.__new__(SecureExecutor)
    workers = {name: {} for name in ("north/a@h", "north/b@h", "south/a@h", "averaging@h")}
    executor._supervisor = SimpleNamespace(wait_for_workers=lambda lacking: workers, notice=notices.append)
    for _ in range(2):
        assert executor.wait_for_workers(lambda workers: "") == workers
    (notice,) = notices
    assert notice.startswith("site north has 2 workers. With SECURE_AGGREGATION=true it needs one")


@pytest.mark.parametrize(
    ("step", "what"),
    [
        (KeysOrder, "keys"),
        (SharesOrder, "shares"),
        (ConfirmOrder, "confirmation"),
        (RevealOrder, "unmasking"),
    ],
)
def test_less_than_two_thirds_end_the_round(step: type, what: str) -> None:
    gone = {(step, client): {"error": "left"} for client in (0, 3)}
    with pytest.raises(
        QuorumMissed, match=f"round 1: {what} of 2 of 4 sites, secure aggregation needs 3"
    ) as ended:
        run_round(gone)
    assert "no update of this round was revealed" in str(ended.value)


def test_nothing_is_asked_for_unmasking_if_too_few_have_trained() -> None:
    with pytest.raises(QuorumMissed, match="updates of 2 of 4 sites"):
        run_round({}, dead=(0, 1))
