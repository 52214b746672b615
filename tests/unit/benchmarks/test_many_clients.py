"""Rounds of many small clients."""

import pytest

from benchmarks.many_clients import NUMBERS, OURS, write_rows
from benchmarks.records import Record
from benchmarks.round_rows import FLOWER


def measured(num_clients, names):
    """Return the record of two rounds of each contender, of which the first is not steady."""
    record = Record("clients", lambda line: None)
    seconds = {FLOWER: 40.0, OURS: 10.0}
    turned = {}
    for name in names:
        steady = {"seconds": seconds[name], "cpu": 2.0, "client mean": 0.013, "client median": 0.011}
        turned[name] = [[{"seconds": 99.0}, steady]]
    write_rows(record, num_clients, turned)
    return record


def test_the_most_clients_have_limits_of_their_round_and_of_their_mean():
    targets = [(target.measured, target.verdict) for target in measured(NUMBERS[-1], [OURS, FLOWER]).targets]
    assert targets == [(0.25, "met"), (10.0, "met"), (pytest.approx(13.0), "missed")]


def test_without_flower_nothing_is_compared_with_it():
    record = measured(10, [OURS])
    assert record.targets == []
    assert [(row.contender, row.ratio) for row in record.measurements if row.unit == "s"] == [(OURS, None)]
