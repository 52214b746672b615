"""Scaling: efficiency by number of workers."""

import pytest

from benchmarks.records import Record
from benchmarks.scaling import FIXED, write_rows


def test_efficiency_is_the_work_a_second_of_each_worker():
    record = Record("scaling", lambda line: None)
    rounds = {1: 9.0, 2: 6.0}  # with the first round of a command, which is not counted, in front
    turned = {number: [[{"seconds": 99.0}, {"seconds": seconds}]] for number, seconds in rounds.items()}
    write_rows(record, FIXED, {1: 8, 2: 8}, turned)
    rows = {(row.what, row.contender): row for row in record.measurements}
    assert rows["steady round, fixed work", "2 workers, 8 clients"].ratio == pytest.approx(6 / 9)
    assert rows["efficiency, fixed work", "2 workers"].values == pytest.approx((9 / 6 / 2,))
    assert record.curves[0].lines["ours"] == [(1.0, 9.0), (2.0, 6.0)]


def test_more_clients_for_more_workers_are_more_work():
    record = Record("scaling", lambda line: None)
    turned = {number: [[{}, {"seconds": 5.0}]] for number in (1, 2)}
    write_rows(record, "growing work", {1: 4, 2: 8}, turned)
    assert record.measurements[-1].values == pytest.approx((1.0,))
