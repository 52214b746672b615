"""The record of a round of sites, repeated after its commit."""

from typing import Any

import pytest

from helpers.federated.results import RunState
from helpers.federated.sites.messages import RecordOrder
from tasks.sites import record

STATE = RunState("r", 3, "weights-0003", None, None, None, sites=[{"name": "north"}])


def test_a_record_that_is_repeated_after_its_commit_computes_nothing_and_names_the_sites(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Context:
        folders = None

    described: list[RunState] = []
    for name, value in {
        "RunContext": type("Contexts", (), {"of": staticmethod(lambda order: Context())}),
        "RoundClock": lambda order: None,
        "read_state": lambda folders: (STATE, {}),
        "write_description": lambda context, state: described.append(state),
        "recorded_round": lambda context, order, state: ("recorded", state),
        "record_round": lambda *_: pytest.fail("it was committed again"),
    }.items():
        monkeypatch.setattr(record, name, value)
    facts: dict[str, Any] = {"run": "r", "session": "s", "settings": {}, "data_digest": "", "versions": {}}
    order = RecordOrder(
        **facts, attempt=1, round=3, clients=[0], weights={}, sent_at=0.0, num_clients=1,
        sites=STATE.sites, averaged={}, scores=[],
    )  # fmt: skip
    assert record.record_scored(order) == ("recorded", STATE)
    assert described == [STATE]
