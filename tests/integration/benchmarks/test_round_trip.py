"""The trip of a default round through the code stays short enough to be read."""

import sys
from pathlib import Path

import pytest

from benchmarks.round_trip import WHOLE, measure_trip
from benchmarks.tracing import Trip

MAX_FILES = 41
MAX_LINES = 1_799
"""Limits of one warm FedAvg round with default settings: orchestrator, training and aggregation together."""
SWITCHED_OFF = ("scaffold", "compression", "quantization", "sites", "client_state")
"""Modules and packages that a default round does not enter."""


@pytest.fixture(scope="module")
def trips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trip]:
    if not sys.platform.startswith("linux"):
        pytest.skip("the benchmarks read /proc")
    return measure_trip(tmp_path_factory.mktemp("round_trip") / "round", num_workers=1)


def test_every_part_was_traced(trips: dict[str, Trip]) -> None:
    assert all(len(trip.functions) > 20 for trip in trips.values())


def test_a_default_round_is_short(trips: dict[str, Trip]) -> None:
    whole = trips[WHOLE]
    assert len(whole.files) <= MAX_FILES
    assert len(whole.lines) <= MAX_LINES


def test_a_default_round_calls_nothing_that_is_switched_off(trips: dict[str, Trip]) -> None:
    parts = {file: set(Path(file).with_suffix("").parts) for file in trips[WHOLE].files}
    assert [file for file, names in parts.items() if names & set(SWITCHED_OFF)] == []
