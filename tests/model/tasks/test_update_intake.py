"""Bad updates: each fails its own client with the reason, and the others count."""

import weakref
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helpers.federated.aggregation import weighted_mean
from helpers.federated.messages import Reference, RoundOrder
from helpers.federated.quorum import QuorumError
from helpers.federated.replies import ClientReply
from helpers.federated.strategies.base import weighted
from helpers.federated.weights import Weights, schema_of
from helpers.global_config import Config
from helpers.weight_store.codec import Digest
from helpers.weight_store.store import MemoryStore, put_arrays
from tasks.round_record import forget
from tasks.update_intake import UpdateIntake
from tests.model.tasks.labels import Labels

NAMES = ["kernel", "bias"]
GOOD = [np.full((2, 3), 2.0, np.float32), np.ones(3, np.float32)]
NORM = 27**0.5
"""Of GOOD."""
SCORES = np.array([0.2, 0.6, 0.1, 0.9], np.float32)
SINS = {
    "nan": lambda store, key: put_arrays(store, key, NAMES, [GOOD[0] * np.float32("nan"), GOOD[1]]),
    "infinity": lambda store, key: put_arrays(store, key, NAMES, [GOOD[0] * np.float32("inf"), GOOD[1]]),
    "name": lambda store, key: put_arrays(store, key, ["kernel", "other"], GOOD),
    "shape": lambda store, key: put_arrays(store, key, NAMES, [GOOD[0].T, GOOD[1]]),
    "dtype": lambda store, key: put_arrays(store, key, NAMES, [GOOD[0].astype(np.float64), GOOD[1]]),
    "digest": lambda store, key: replace(put_arrays(store, key, NAMES, GOOD), sha256="0" * 64),
    "length": lambda store, key: replace(put_arrays(store, key, NAMES, GOOD), length=7),
    "size": lambda store, key: replace(put_arrays(store, key, NAMES, GOOD), length=1 << 40),
    "place": lambda store, key: put_arrays(store, "dt:run:other:update", NAMES, GOOD),
    "lie": lambda store, key: replace(
        put_arrays(store, key, ["x"], [np.zeros(1, np.float32)]), schema=schema_of(NAMES, GOOD)
    ),
    "absurdity": lambda store, key: put_arrays(store, key, NAMES, [GOOD[0] * np.float32(1e30), GOOD[1]]),
    "absence": lambda store, key: Reference(key, 9, "0" * 64, schema_of(NAMES, GOOD)),
}
"""What a client may do wrong with its update: stores it and returns the reference it sends."""


def make_intake(*sins: str | None, min_clients: float = 1, store: MemoryStore | None = None) -> UpdateIntake:
    """An intake of one client for each sin; None is a good one."""
    store = store or MemoryStore()
    context: Any = SimpleNamespace(
        config=Config(MIN_CLIENTS=min_clients),
        data=Labels(40),
        instance=SimpleNamespace(schema=schema_of(NAMES, GOOD)),
        state_plan=None,
        store=store,
        key=lambda *parts, site=None: ":".join(str(part) for part in ("dt:run", *parts)),
    )
    replies = []
    for client, sin in enumerate(sins):
        key = context.key("update", 1, client, 0)
        update = SINS[sin](store, key) if sin else put_arrays(store, key, NAMES, GOOD)
        scores = put_arrays(store, context.key("scores", 1, client, 0), ["scores"], [SCORES])
        references = (update.to_message(), scores.to_message())
        replies.append(ClientReply(1, client, 0, "w", "ok", None, 5, 3, 0.5, *references, update_norm=NORM))
    order = RoundOrder("r", "s", {}, "", {}, 0, 1, list(range(len(sins))), {}, 0.0, num_clients=len(sins))
    return UpdateIntake(context, order, replies)


def mean_of(intake: UpdateIntake) -> Weights:
    return weighted_mean(weighted(intake.updates(), lambda update: update.num_examples))


@pytest.mark.parametrize("sin", SINS)
def test_a_bad_update_fails_its_client_and_the_others_count(sin: str) -> None:
    intake = make_intake(None, sin, None)
    mean = mean_of(intake)
    np.testing.assert_array_equal(mean[0], GOOD[0])
    assert [row["status"] for row in intake.rows] == ["ok", "failed", "ok"]
    assert intake.rows[1]["error"].startswith("update refused: ")
    assert intake.rows[1].get("val_roc_auc") is None
    assert intake.rows[0]["val_roc_auc"] == 1


def test_an_absurd_update_is_refused_with_its_norm_and_the_limit() -> None:
    intake = make_intake(None, "absurdity", None)
    mean_of(intake)
    assert intake.rows[1]["error"] == (
        "update refused: its weights have the norm 4.9e+30, more than MAX_UPDATE_RATIO=100 times the median "
        "of the round, 5.2"
    )


def test_of_two_updates_none_is_absurd() -> None:
    assert mean_of(make_intake(None, "absurdity"))[0][0, 0] > 1e29


def test_a_client_cannot_claim_more_images_than_it_has() -> None:
    intake = make_intake(None, None)
    intake.replies[0] = replace(intake.replies[0], num_examples=21)  # of 40, two clients have 20 each
    assert len(list(intake.updates())) == 1
    assert "21 examples, the client has 20 a round" in intake.rows[0]["error"]


def test_too_few_good_updates_are_an_error_that_names_the_reasons() -> None:
    intake = make_intake("nan", None, min_clients=2)
    with pytest.raises(QuorumError, match=r"1 usable updates, MIN_CLIENTS needs 2$"):
        mean_of(intake)


def test_what_the_clients_stored_is_forgotten() -> None:
    intake = make_intake(None, "nan")
    list(intake.updates())
    forget(intake.context, intake.order, intake.rows, {})
    assert intake.context.store.blobs == {}  # type: ignore[attr-defined]


class OneUpdateStore(MemoryStore):
    """Hands out copies, as a real store does, and no update while an earlier one is in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.handed_out: list[weakref.ref[np.ndarray]] = []

    def get(self, key: str, limit: int, digest: Digest | None = None) -> memoryview:
        copy = np.frombuffer(super().get(key, limit, digest), np.uint8).copy()
        if ":update:" in key:
            assert all(earlier() is None for earlier in self.handed_out)
            self.handed_out.append(weakref.ref(copy))
        return memoryview(copy)


def test_one_update_is_in_memory_at_a_time() -> None:
    intake = make_intake(None, "nan", None, None, store=OneUpdateStore())
    mean_of(intake)
    assert [row["status"] for row in intake.rows] == ["ok", "failed", "ok", "ok"]
    assert len(intake.context.store.handed_out) == 4  # type: ignore[attr-defined]
