"""Messages survive JSON and refuse what they do not know; the round loop goes on where it should."""

import json

import pytest

from helpers.federated.messages import (
    ClientReply,
    MessageError,
    Reference,
    RoundOrder,
    RoundResult,
    RunState,
    TrainOrder,
)
from helpers.federated.rounds import run_rounds
from helpers.federated.weights import ArraySpec

FACTS = {"run": "r", "session": "s", "settings": {"EPOCHS": 2}, "data_digest": "d", "attempt": 0}
ROUND = {**FACTS, "round": 3, "clients": [0, 1], "weights": {}, "sent_at": 1.5}


@pytest.mark.parametrize(
    "message",
    [
        TrainOrder(**ROUND, client=1),
        RoundOrder(**ROUND),
        ClientReply(3, 1, "worker1@host", "ok", train_loss=0.25),
        Reference("k", 3, "ab", (ArraySpec("a", "float32", (2, 3)),)),
        RunState("r", 3, "file", None, None, None),
    ],
)
def test_messages_survive_json(message) -> None:
    assert type(message).from_message(json.loads(json.dumps(message.to_message()))) == message


def test_a_job_has_one_name_for_all_attempts() -> None:
    assert TrainOrder(**ROUND, client=1).job == TrainOrder(**{**ROUND, "attempt": 4}, client=1).job
    assert RoundOrder(**ROUND).job == "aggregate:3"


@pytest.mark.parametrize("data", [None, [], "x", {}, {**ROUND, "more": 1}, {"run": "r"}])
def test_other_messages_are_refused(data) -> None:
    with pytest.raises(MessageError, match="expected the fields"):
        RoundOrder.from_message(data)


@pytest.mark.parametrize("schema", [None, [{}], [{"name": "a", "dtype": "float32", "shape": "x"}]])
def test_a_schema_that_is_none_is_refused(schema) -> None:
    with pytest.raises(MessageError):
        Reference.from_message({"key": "k", "length": 1, "sha256": "x", "schema": schema})


class Recorder:
    """An executor whose weights are named after their round, and an observer."""

    def __init__(self) -> None:
        self.seen: list = []

    def run_round(self, round_number, clients, weights):
        self.seen.append((round_number, clients, weights.key))
        state = RunState("r", round_number, "f", 1, 0.5, "f")
        reference = Reference(f"weights-{round_number}", 1, "x", ())
        return RoundResult(state.to_message(), reference.to_message(), {}, [])

    def round_started(self, round_number, clients):
        self.seen.append(f"started {round_number}")

    def round_finished(self, result):
        self.seen.append(f"finished {result.state['round']}")


def test_rounds_follow_each_other_from_where_the_run_is() -> None:
    recorder = Recorder()
    state = run_rounds(
        RunState("r", 2, "f", None, None, None),
        Reference("weights-2", 1, "x", ()),
        rounds=4,
        num_clients=2,
        executor=recorder,
        observer=recorder,
    )
    assert state.round == 4
    assert recorder.seen == [
        "started 3", (3, [0, 1], "weights-2"), "finished 3",
        "started 4", (4, [0, 1], "weights-3"), "finished 4",
    ]  # fmt: skip


def test_a_finished_run_does_nothing() -> None:
    recorder = Recorder()
    state = RunState("r", 4, "f", None, None, None)
    weights = Reference("weights-4", 1, "x", ())
    same = run_rounds(state, weights, rounds=4, num_clients=2, executor=recorder, observer=recorder)
    assert same == state
    assert recorder.seen == []
