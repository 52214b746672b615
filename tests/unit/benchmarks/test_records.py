"""Measurements and targets: medians, ratios, verdicts."""

import pytest

from benchmarks.records import Record, Target


def test_a_row_has_the_median_and_its_ratio_to_the_reference():
    lines = []
    record = Record("part", lines.append)
    floor = record.add("round", "floor", "s", [4.0, 2.0, 9.0])
    ours = record.add("round", "ours", "s", [6.0, 5.0], floor)
    assert (floor.median, floor.ratio) == (4.0, None)
    assert (ours.median, ours.ratio, ours.reference) == (5.5, 1.375, "floor")
    assert lines[1] == "  round: ours: 5.5 s (5–6, 2 values), 1.375 × floor"


@pytest.mark.parametrize(
    ("limit", "measured", "at_least", "verdict"),
    [
        (1.05, 1.05, False, "met"),
        (1.05, 1.06, False, "missed"),
        (1.15, 1.15, True, "met"),
        (1.15, 1.14, True, "missed"),
        (1.15, None, True, "not measured"),
    ],
)
def test_a_target_is_met_up_to_its_limit(limit, measured, at_least, verdict):
    target = Target("step", "speed", limit, measured, "×", at_least)
    assert target.verdict == verdict
    assert target.bound == f"{'≥' if at_least else '≤'} {limit} ×"
