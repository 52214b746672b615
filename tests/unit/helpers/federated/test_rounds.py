"""Messages survive JSON and refuse what they do not know; the round loop goes on where it should."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributed_training_index import run_all_rounds
from helpers.cluster.errors import QuorumMissed
from helpers.federated.cohort import Cohort, CohortChooser, sample_clients
from helpers.federated.messages import MessageError, Reference, RoundOrder, RoundResult, RunState, TrainOrder
from helpers.federated.quorum import clients_needed
from helpers.federated.replies import ClientReply, read_replies
from helpers.federated.rounds import has_lost_patience, run_rounds
from helpers.federated.weights import ArraySpec
from helpers.global_config import Config

FACTS = {
    "run": "r",
    "session": "s",
    "settings": {"EPOCHS": 2},
    "data_digest": "d",
    "versions": {},
    "attempt": 0,
}
STATES = {"0": {"key": "s0", "length": 1, "sha256": "x"}, "1": {"key": "s1", "length": 2, "sha256": "y"}}
ROUND = {
    **FACTS,
    "round": 3,
    "clients": [0, 1, 2],
    "weights": {},
    "sent_at": 1.5,
    "states": STATES,
    "num_clients": 3,
}


@pytest.mark.parametrize(
    "message",
    [
        TrainOrder(**ROUND, client=1),
        RoundOrder(**ROUND),
        ClientReply(3, 1, 0, "worker1@host", "ok", train_loss=0.25),
        Reference("k", 3, "ab", (ArraySpec("a", "float32", (2, 3)),)),
        RunState("r", 3, "file", None, None, None),
        RunState("r", 3, "file", None, None, None, {"0": "state-0003-0-abc.safetensors"}),
        RoundResult({}, {}, {}, [], STATES),
    ],
)
def test_messages_survive_json(message) -> None:
    assert type(message).from_message(json.loads(json.dumps(message.to_message()))) == message


def test_a_job_has_one_name_for_all_attempts() -> None:
    assert TrainOrder(**ROUND, client=1).job == TrainOrder(**{**ROUND, "attempt": 4}, client=1).job
    assert RoundOrder(**ROUND).job == "aggregate:3"


@pytest.mark.parametrize(("client", "states"), [(1, {"1": STATES["1"]}), (2, {})])
def test_a_client_is_told_of_itself_alone(client: int, states: dict) -> None:
    assert TrainOrder.of(RoundOrder(**ROUND), client) == TrainOrder(
        **{**ROUND, "clients": [client], "states": states}, client=client
    )


def test_a_reference_without_its_schema_is_completed_by_the_receivers() -> None:
    reference = Reference("k", 3, "ab", (ArraySpec("a", "float32", (2, 3)),))
    short = json.loads(json.dumps(reference.to_short()))
    assert short == {"key": "k", "length": 3, "sha256": "ab"}
    assert Reference.from_short(short, reference.schema) == reference


@pytest.mark.parametrize("data", [None, [], "x", {}, {"key": "k", "length": 3}, {**STATES["0"], "more": 1}])
def test_a_short_reference_that_is_none_is_refused(data) -> None:
    with pytest.raises(MessageError, match="expected"):
        Reference.from_short(data, ())


@pytest.mark.parametrize("data", [None, [], "x", {}, {**ROUND, "more": 1}, {"run": "r"}])
def test_other_messages_are_refused(data) -> None:
    with pytest.raises(MessageError, match="expected the fields"):
        RoundOrder.from_message(data)


@pytest.mark.parametrize("schema", [None, [{}], [{"name": "a", "dtype": "float32", "shape": "x"}]])
def test_a_schema_that_is_none_is_refused(schema) -> None:
    with pytest.raises(MessageError):
        Reference.from_message({"key": "k", "length": 1, "sha256": "x", "schema": schema})


class Recorder:
    """An executor whose weights and states are named after their round, and an observer."""

    def __init__(self) -> None:
        self.seen: list = []

    def run_round(self, round_number, cohort, weights, states):
        self.seen.append((round_number, cohort.clients, weights.key, states))
        state = RunState("r", round_number, "f", 1, 0.5, "f")
        reference = Reference(f"weights-{round_number}", 1, "x", ())
        states = {"1": {"key": f"state-{round_number}"}}
        return RoundResult(state.to_message(), reference.to_message(), {}, [], states)

    def run_started(self, run, state, rounds):
        self.seen.append(f"run from {state.round}")

    def notice(self, text):
        self.seen.append(text)

    def round_started(self, round_number, clients):
        self.seen.append(f"started {round_number}")

    def round_finished(self, result):
        self.seen.append(f"finished {result.state['round']}")


def test_rounds_follow_each_other_from_where_the_run_is() -> None:
    recorder = Recorder()
    state = run_rounds(
        RunState("r", 2, "f", None, None, None),
        Reference("weights-2", 1, "x", ()),
        {"0": {"key": "state-2"}},
        rounds=4,
        patience=0,
        choose_cohort=lambda state: Cohort(5, [0, state.round + 1]),
        executor=recorder,
        observer=recorder,
    )
    assert state.round == 4
    assert recorder.seen == [
        "started 3", (3, [0, 3], "weights-2", {"0": {"key": "state-2"}}), "finished 3",
        "started 4", (4, [0, 4], "weights-3", {"1": {"key": "state-3"}}), "finished 4",
    ]  # fmt: skip


def test_a_finished_run_does_nothing() -> None:
    recorder = Recorder()
    state = RunState("r", 4, "f", None, None, None)
    assert rounds_after(state, recorder) == state
    assert recorder.seen == []


def rounds_after(state: RunState, recorder: Recorder, **options) -> RunState:
    options = {"rounds": 4, "patience": 0, "choose_cohort": lambda state: Cohort(2, [0, 1])} | options
    weights = Reference(f"weights-{state.round}", 1, "x", ())
    return run_rounds(state, weights, {}, executor=recorder, observer=recorder, **options)


def test_it_stops_after_rounds_without_a_better_one() -> None:
    recorder = Recorder()  # whose best round stays the first
    state = rounds_after(RunState("r", 0, "f", None, None, None), recorder, rounds=9, patience=3)
    assert state.round == 4
    assert has_lost_patience(state, 3)
    assert not has_lost_patience(state, 4)
    assert not has_lost_patience(state, 0)
    assert rounds_after(state, recorder, rounds=9, patience=3) == state  # also when resumed


def test_it_stops_after_the_round_when_asked_to() -> None:
    recorder = Recorder()
    state = rounds_after(RunState("r", 0, "f", None, None, None), recorder, is_asked_to_stop=lambda: True)
    assert state.round == 1


def test_a_round_with_too_few_clients_for_its_strategy_is_not_begun() -> None:
    recorder, cohorts = Recorder(), iter([Cohort(5, [0, 1, 2, 3, 4]), Cohort(5, [0, 1, 3, 4])])
    started = {
        "state": RunState("r", 0, "f", None, None, None).to_message(),
        "weights": Reference("weights-0", 1, "x", ()).to_message(),
        "states": {},
    }
    executor: Any = SimpleNamespace(start_run=lambda resume: started, run_round=recorder.run_round)
    chooser: Any = SimpleNamespace(choose=lambda state: next(cohorts))
    observer: Any = recorder
    config = Config(STRATEGY="trimmed_mean", num_workers="auto")
    with pytest.raises(QuorumMissed, match=r"^round 2: TRIM_FRACTION: received 0\.2: of 4 clients"):
        run_all_rounds(config, "r", False, executor, chooser, observer)
    assert recorder.seen[-1] == "finished 1"


@pytest.mark.parametrize(
    ("min_clients", "num_clients", "needed"),
    [(0.5, 3, 2), (0.5, 4, 2), (0.01, 3, 1), (0.99, 3, 3), (1, 3, 1), (2, 3, 2), (9, 3, 3)],
)
def test_quorum(min_clients: float, num_clients: int, needed: int) -> None:
    assert clients_needed(min_clients, num_clients) == needed


GOOD = ClientReply(3, 1, 0, "w", "ok", None, 5, 0.5, {"key": "u"}, {"key": "s"}).to_message()


def test_a_good_reply_is_read_as_it_is() -> None:
    assert read_replies(3, [1], [GOOD]) == [ClientReply.from_message(GOOD)]


@pytest.mark.parametrize(
    "change",
    [
        {"round": 2}, {"client": 0}, {"num_examples": "5"}, {"num_examples": -1}, {"num_examples": True},
        {"num_examples": 10**30}, {"attempt": None}, {"status": "fine"}, {"train_loss": float("nan")},
        {"train_loss": "low"}, {"seconds": float("inf")}, {"update": None}, {"predictions": None},
        {"worker": 7}, {"error": ["x"]}, {"extra": 1}, {"state_bytes": -1},
    ],
)  # fmt: skip
def test_a_bad_reply_is_a_failed_client_and_no_error(change: dict) -> None:
    (reply,) = read_replies(3, [1], [GOOD | change])
    assert (reply.status, reply.client, reply.round) == ("failed", 1, 3)
    assert "not understood" in reply.error


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_reply_is_a_failed_client(message) -> None:
    assert read_replies(3, [1], [message])[0].status == "failed"


@given(
    st.sampled_from(sorted(GOOD)), st.none() | st.integers() | st.floats() | st.text() | st.lists(st.none())
)
def test_any_value_in_any_field_is_read_or_refused(field: str, value) -> None:
    (reply,) = read_replies(3, [1], [GOOD | {field: value}])
    assert (reply.client, reply.round) == (1, 3)


@given(st.integers(1, 300), st.floats(0.001, 1), st.integers(0, 2**40), st.integers(1, 10**6))
def test_a_sample_is_of_different_clients_in_order_and_depends_on_seed_and_round_alone(
    number: int, fraction: float, seed: int, round_number: int
) -> None:
    sample = sample_clients(range(number), fraction, seed, round_number)
    assert sample == sorted(set(sample))
    assert set(sample) <= set(range(number))
    assert abs(len(sample) - fraction * number) <= 0.5 or len(sample) == 1
    assert sample == sample_clients(range(number), fraction, seed, round_number)


@pytest.mark.parametrize(
    ("fraction", "number", "drawn"), [(0.5, 10, 5), (0.5, 3, 2), (0.1, 30, 3), (0.01, 3, 1), (0.99, 3, 3)]
)
def test_how_many_are_drawn(fraction: float, number: int, drawn: int) -> None:
    assert len(sample_clients(range(number), fraction, 42, 1)) == drawn


def test_all_take_part_in_the_order_given_at_fraction_one() -> None:
    assert sample_clients([2, 0, 1], 1.0, 42, 1) == [2, 0, 1]


def test_named_clients_are_sampled_too_and_every_round_draws_anew() -> None:
    samples = {tuple(sample_clients([9, 4, 7, 2], 0.5, 42, number)) for number in range(1, 40)}
    assert samples == {(2, 4), (2, 7), (2, 9), (4, 7), (4, 9), (7, 9)}


def test_every_client_is_drawn_as_often_as_any_other() -> None:
    drawn = [client for number in range(1000) for client in sample_clients(range(10), 0.3, 42, number)]
    counts = [drawn.count(client) for client in range(10)]
    assert sum(counts) == 3000
    assert max(abs(count - 300) for count in counts) < 60  # 4 standard deviations of 14.5


def test_the_number_of_clients_is_asked_for_at_every_round_and_a_change_is_said() -> None:
    counts, notices = iter([3, 3, 4, 2]), []
    chooser = CohortChooser(lambda: next(counts), lambda count: list(range(count)), 1.0, 0, notices.append)
    cohorts = [chooser.choose(RunState("r", number, "f", None, None, None)) for number in range(4)]
    assert cohorts == [Cohort(3, [0, 1, 2])] * 2 + [Cohort(4, [0, 1, 2, 3]), Cohort(2, [0, 1])]
    assert [text.partition(",")[0] for text in notices] == [
        "round 3: 4 clients instead of 3", "round 4: 2 clients instead of 4",
    ]  # fmt: skip
