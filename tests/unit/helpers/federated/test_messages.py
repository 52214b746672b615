"""Messages survive JSON and refuse unknown fields."""

import json

import pytest

from helpers.federated.messages import MessageError, Reference, RoundOrder, TrainOrder
from helpers.federated.replies import ClientReply
from helpers.federated.results import RoundResult, RunState
from helpers.federated.weights import ArraySpec

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
