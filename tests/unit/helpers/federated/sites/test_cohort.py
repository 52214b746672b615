"""Sites: who can take part, under which id, and what their counts and sums make of the metrics."""

import hashlib
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import celery_app
from helpers.cluster.worker_session import WorkerSession
from helpers.evaluation.metrics import Metrics, evaluate
from helpers.evaluation.tallies import Tally, evaluation_of, read_tally, tally_of
from helpers.evaluation.weighted_metrics import SENSITIVITY
from helpers.federated.messages import FinishOrder, MessageError, RoundOrder, RunState, TrainOrder
from helpers.federated.sites.cohort import SiteChooser
from helpers.federated.sites.messages import ScoreOrder, ScoreReply
from helpers.federated.sites.site import Site, usable_sites
from helpers.global_config import Config
from helpers.settings.errors import ConfigError


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


NAMES = ("benign", "malignant")


def site(name: str, **other) -> dict:
    facts = {"data_digest": digest(name), "input_shape": [16, 16, 3], "classes": list(NAMES)}
    return {"name": name, **facts, "train": [5, 6], "val": [2, 3], "test": [3, 3], **other}


def state(round_number: int, *sites: dict) -> RunState:
    return RunState("r", round_number, "f", None, None, None, sites=list(sites))


class Fleet:
    """Live workers by name, what was lacking among them, and what was said."""

    def __init__(self, *names: str, min_clients: float = 0.5) -> None:
        self.workers = {f"w-{name}": {"site": site(name)} for name in names}
        self.lacking = ""
        self.said: list[str] = []
        self.chooser = SiteChooser(self.wait, min_clients, (16, 16, 3), NAMES, 1.0, 42, self.said.append)

    def wait(self, lacking):
        self.lacking = lacking(self.workers)
        return self.workers


def test_ids_stay_when_a_site_leaves_comes_back_and_another_joins() -> None:
    fleet = Fleet("south", "north")
    first = fleet.chooser.choose(state(0))
    assert (first.clients, [one["name"] for one in first.sites]) == ([0, 1], ["north", "south"])
    north = fleet.workers.pop("w-north")
    second = fleet.chooser.choose(state(1, *first.sites))
    assert (second.clients, second.num_clients) == ([1], 2)
    fleet.workers |= {"w-east": {"site": site("east")}, "w-north": north}
    third = fleet.chooser.choose(state(2, *second.sites))
    assert [one["name"] for one in third.sites] == ["north", "south", "east"]
    assert third.clients == [0, 1, 2]
    assert fleet.said == [
        "round 1: sites: north, south",
        "round 2: sites: north has left. There are: south",
        "round 3: sites: east has come; north has come. There are: east, north, south",
    ]
    resumed = Fleet("north", "east").chooser.choose(state(3, *third.sites))
    assert resumed.clients == [0, 2]


@pytest.mark.parametrize(
    ("min_clients", "known", "is_lacking"),
    [(0.5, 0, False), (0.5, 3, False), (0.5, 5, True), (2, 0, False), (3, 0, True), (2.5, 0, True)],
)
def test_it_waits_for_as_many_sites_as_a_round_needs(min_clients: float, known: int, is_lacking) -> None:
    fleet = Fleet("a", "b", min_clients=min_clients)
    fleet.chooser.choose(state(1, *(site(name) for name in "abcde"[:known])))
    assert bool(fleet.lacking) == is_lacking
    assert not is_lacking or "asks for 3 live sites, there are: a, b" in fleet.lacking


def test_a_site_without_a_class_in_validation_is_named_once() -> None:
    fleet = Fleet("a", "b")
    fleet.workers["w-a"]["site"]["val"] = [4, 0]
    fleet.chooser.choose(state(0))
    fleet.chooser.choose(state(1))
    (said,) = (said for said in fleet.said if "malignant" in said)
    assert said.startswith("site a: no validation image of malignant: where scores stay")


def test_workers_without_a_site_are_no_clients() -> None:
    told = {"plain": None, "w1": site("a"), "w2": site("a")}
    found, refused = usable_sites(told, [], (16, 16, 3), NAMES)
    assert (list(found), refused) == (["a"], [])


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (
            {"w1": site("a"), "w2": site("a", data_digest=digest("other"))},
            "its workers have different images",
        ),
        ({"w1": site("a", input_shape=[32, 32, 3])}, r"INPUT_SHAPE and INPUT_DIM are \[16, 16, 3\]"),
        ({"w1": site("a", input_shape=[16, 16, 1])}, r"its images are \[16, 16, 1\]"),
        ({"w1": site("a", input_shape=[16, 16])}, "no 3 counts"),
        ({"w1": site("a", train=[0, 0])}, "no images for training"),
        ({"w1": site("a", val=[0, 0])}, "none for validation"),
        ({"w1": site("old", data_digest=digest("now others"))}, "others than when it joined"),
        ({"w1": site("a", train=[1, -1])}, "no 2 counts"),
        ({"w1": site("a", test=[1])}, "no 2 counts"),
        (
            {"w1": site("a", classes=["malignant", "benign"])},
            "0 malignant, 1 benign, those of the run 0 benign",
        ),
        ({"w1": site("a", classes=["benign", "malignant", "normal"])}, "no 3 counts"),
        ({"w1": site("a", classes=["benign", "x\n"])}, "no list of names"),
        ({"w1": site("a", classes="ab")}, "no list of names"),
        ({"w1": site("a", classes=["one"])}, "no list of names"),
        ({"w1": site("a", classes=["a", "\x1b[2J"])}, "no list of names"),
        ({"w1": site("a", classes=["a"] * 5000)}, "no list of names"),
        ({"w1": site("a", data_digest="z" * 64)}, "no name or no digest"),
        ({"w1": site("a", data_digest=None)}, "no name or no digest"),
        ({"w1": {"name": "a"}}, "expected the fields"),
        ({"w1": 7}, "expected the fields"),
    ],
)
def test_a_site_that_does_not_fit_is_left_out_by_name(told: dict, reason: str) -> None:
    found, refused = usable_sites(told | {"w9": site("good")}, [Site(**site("old"))], (16, 16, 3), NAMES)
    assert list(found) == ["good"]
    assert len(refused) == 1
    assert re.search(reason, refused[0])


FACTS = {"run": "r", "session": "s", "settings": {}, "data_digest": "", "versions": {}, "attempt": 0}


def test_a_site_is_told_its_own_digest_and_of_no_other_site() -> None:
    order = RoundOrder(
        **FACTS, round=1, clients=[0, 1], weights={}, sent_at=0.0, num_clients=2, sites=[site("a"), site("b")]
    )
    training = TrainOrder.of(order, 1)
    assert (training.site, training.data_digest, training.sites) == ("b", digest("b"), [])
    scorings = ScoreOrder.for_all(order, "val", {}, 0.5)
    assert [(one.site, one.data_digest, one.job) for one in scorings] == [
        ("a", digest("a"), "score-val:1:0"), ("b", digest("b"), "score-val:1:1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("here", "there", "is_taken"),
    [("a", "a", True), ("", "", True), ("a", "b", False), ("a", "", False), ("", "a", False)],
)
def test_a_worker_takes_orders_of_its_site_alone(here: str, there: str, is_taken: bool) -> None:
    about = site(here) if here else None
    session = WorkerSession("w", "redis://127.0.0.1:1/0", threads=1, site=about)
    order = FinishOrder(**FACTS, site=there)
    if is_taken:
        session.check_site(order)
    else:
        with pytest.raises(MessageError, match="the order is for"):
            session.check_site(order)


@pytest.mark.parametrize(
    ("field", "value"),
    [("split", "train"), ("split", "../val"), ("split", None), ("split", ["val"]), ("threshold", "0.5"),
     ("threshold", float("nan")), ("threshold", 2), ("threshold", None)],
)  # fmt: skip
def test_only_validation_and_test_are_scored_and_at_a_threshold(field: str, value) -> None:
    order = ScoreOrder(**FACTS, round=1, client=0, split="val", weights={}, threshold=0.5)
    assert ScoreOrder.from_message(order.to_message()) == order
    with pytest.raises(MessageError, match=f"ScoreOrder: {field}"):
        ScoreOrder.from_message(order.to_message() | {field: value})


REPLY = ScoreReply(2, 1, 0, "w", "ok", tally={}).to_message()


def test_a_good_reply_is_read_as_it_is() -> None:
    assert ScoreReply.read(2, 1, REPLY) == ScoreReply(**REPLY)


@pytest.mark.parametrize(
    "change",
    [{"round": 1}, {"client": 0}, {"attempt": -1}, {"attempt": True}, {"status": "partial"}, {"worker": 1},
     {"error": 3}, {"more": 1}],
)  # fmt: skip
def test_a_bad_reply_is_a_failed_site(change: dict) -> None:
    reply = ScoreReply.read(2, 1, REPLY | change)
    assert (reply.status, reply.round, reply.client) == ("failed", 2, 1)
    assert "not understood" in str(reply.error)


LABELS = np.array([0, 1, 0, 1, 1, 0, 1])
SCORES = np.array([0.1, 0.9, 0.6, 0.4, 0.7, 0.2, 0.8])


def metrics_of(tallies: list[Tally]) -> Metrics:
    return evaluation_of(tallies, num_classes=2).metrics


def test_counts_and_sums_of_sites_give_the_metrics_of_all_images() -> None:
    tallies = [tally_of(LABELS[:3], SCORES[:3]), tally_of(LABELS[3:], SCORES[3:])]
    summed, pooled = metrics_of(tallies), evaluate(LABELS, SCORES).metrics
    for name in set(pooled) - {"roc_auc", "average_precision", "calibration_error", SENSITIVITY}:
        assert summed[name] == pytest.approx(pooled[name], abs=1e-12), name
    assert summed["roc_auc"] == pytest.approx((3 * 1.0 + 4 * 1.0) / 7)  # each ranks its own well, …
    assert pooled["roc_auc"] == pytest.approx(11 / 12)  # … but 0.4 at one is below 0.6 at the other
    assert summed["average_precision"] is None
    assert summed["calibration_error"] is None


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=2, max_size=40), st.integers(1, 39))
def test_it_does_not_matter_how_images_are_spread(images: list, cut: int) -> None:
    labels, scores = (np.array(column) for column in zip(*images, strict=True))
    parts = [part for part in (slice(0, cut), slice(cut, None)) if len(labels[part])]
    summed = metrics_of([tally_of(labels[part], scores[part], 0.3) for part in parts])
    pooled = evaluate(labels, scores, 0.3).metrics
    for name in ("val_loss", "accuracy", "precision", "recall", "f1_score", "specificity", "brier_score"):
        assert summed[name] == pytest.approx(pooled[name], abs=1e-9), name


def test_the_mean_auc_counts_images_and_leaves_out_sites_of_one_class() -> None:
    good = tally_of(np.array([0, 1]), np.array([0.1, 0.9]))  # AUC 1, two images
    bad = tally_of(np.array([0, 0, 1, 1]), np.array([0.9, 0.8, 0.1, 0.2]))  # AUC 0, four images
    alone = tally_of(np.array([1, 1, 1]), np.array([0.5, 0.5, 0.5]))
    assert metrics_of([good, bad, alone])["roc_auc"] == pytest.approx(1 / 3)
    assert metrics_of([alone])["roc_auc"] is None
    assert set(metrics_of([]).values()) == {None}


def test_tallies_of_three_classes_give_the_confusion_and_the_means_of_all_images() -> None:
    generator = np.random.default_rng(0)
    labels, scores = generator.integers(0, 3, 60), generator.dirichlet([1, 1, 1], 60)
    tallies = [tally_of(labels[part], scores[part]) for part in (slice(0, 20), slice(20, None))]
    counts = np.bincount(labels[:20], minlength=3).tolist()
    assert read_tally(tallies[0].to_message(), counts) == tallies[0]
    summed, pooled = evaluation_of(tallies, num_classes=3), evaluate(labels, scores)
    np.testing.assert_array_equal(summed.confusion, pooled.confusion)
    ranking = {"roc_auc", "average_precision", SENSITIVITY}
    for all_of, own in zip(
        [pooled.metrics, *pooled.by_class], [summed.metrics, *summed.by_class], strict=True
    ):
        for name in set(all_of) - ranking - {"calibration_error"}:
            assert own[name] == pytest.approx(all_of[name], abs=1e-12), name
    assert {row[name] for row in summed.by_class for name in ranking} == {None}
    own_aucs = [
        evaluate(labels[part], scores[part]).metrics["roc_auc"] for part in (slice(0, 20), slice(20, None))
    ]
    assert summed.metrics["roc_auc"] == pytest.approx((20 * own_aucs[0] + 40 * own_aucs[1]) / 60)


GOOD = tally_of(LABELS, SCORES).to_message()


def test_a_good_tally_is_read_as_it_is() -> None:
    assert read_tally(GOOD, [3, 4]).to_message() == GOOD


@pytest.mark.parametrize(
    "change",
    [*({"confusion": rows} for rows in (
        [[3, 1], [1, 3]], [[4, -1], [1, 3]], [[2, 1], [1, 3.0]], [[2, True], [1, 3]], [[2, 1], [4]],
        [[3], [4]], [[10**400, 1], [1, 3]], [[2, 1, 0], [1, 3, 0], [0, 0, 0]], [3, 4], None,
     )),
     {"loss": float("nan")}, {"loss": -1.0}, {"loss": 1e9}, {"squares": "1"},
     {"roc_auc": None}, {"roc_auc": 1.5}, {"roc_auc": "1"}, {"more": 1}],
)  # fmt: skip
def test_a_tally_that_cannot_be_is_refused(change: dict) -> None:
    with pytest.raises(ValueError, match="tally"):
        read_tally(GOOD | change, [3, 4])


@pytest.mark.parametrize("data", [None, [], 7, {}, {"confusion": [[2, 1], [1, 3]]}])
def test_what_is_no_tally_is_refused(data) -> None:
    with pytest.raises(ValueError, match="not a tally"):
        read_tally(data, [3, 4])


@pytest.mark.parametrize("name", ["a b", "../x", "-x", "x" * 41, "a:b", "a\n", "=1+1", "<b>"])
def test_a_sites_name_is_one_that_queues_and_tables_can_have(name: str) -> None:
    with pytest.raises(ConfigError, match="SITE"):
        Config.load(SITE=name)
    with pytest.raises(MessageError, match="no name"):
        Site.from_message(site(name))


def test_a_sites_worker_serves_one_queue_and_knows_two_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DT_SITE", "north")
    settings = celery_app._settings()
    assert (
        [queue.name for queue in settings["task_queues"]]
        == ["site.north"]
        == [settings["task_default_queue"]]
    )
    assert settings["include"] == ["tasks.train_task", "tasks.sites.score"]
    monkeypatch.delenv("DT_SITE")
    settings = celery_app._settings()
    assert [queue.name for queue in settings["task_queues"]] == ["train", "aggregate"]


def test_a_sites_worker_with_queues_of_its_own_choice_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DT_SITE", "north")
    with pytest.raises(SystemExit, match="-Q: with DT_SITE=north"):
        celery_app._claim_name("w@host", {"queues": "aggregate"})
