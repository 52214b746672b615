"""The tracer: functions of the product, with their source lines, while the window is on the stack."""

import pytest

from benchmarks.tracing import Tracer, Trip, lines_of
from helpers.federated.weights import num_bytes, schema_of

FILE = "helpers/federated/weights.py"


def window(times: int) -> None:
    num_bytes([])
    [schema_of([], []) for _ in range(times)]


@pytest.fixture
def product(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let functions of this file count as the product's."""
    monkeypatch.setattr("benchmarks.tracing.PRODUCT", ("helpers", "tests"))


def first_line(function) -> int:
    return function.__code__.co_firstlineno


@pytest.mark.usefixtures("product")
def test_functions_inside_the_window_are_recorded_once() -> None:
    tracer = Tracer("window", skipped=1)
    tracer.start()
    window(1)
    first = set(tracer.trip.functions)
    window(2)
    schema_of([], [])
    tracer.stop()
    assert first == set()
    ours = {(FILE, first_line(num_bytes)), (FILE, first_line(schema_of))}
    here = (__file__[__file__.index("tests/") :], first_line(window))
    assert tracer.trip.functions - {here} == ours
    assert here in tracer.trip.functions


def test_lines_are_those_of_the_source_and_count_once() -> None:
    one = Trip({(FILE, first_line(num_bytes))})
    assert len(one.lines) == len(lines_of(FILE, first_line(num_bytes)))
    assert (one | one).lines == one.lines
    with pytest.raises(LookupError, match="no function begins on line 1;"):
        lines_of(FILE, 1)
