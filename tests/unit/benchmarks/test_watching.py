"""Meters are read when rounds begin and end."""

import sys

import pytest

from benchmarks.watching import CommandFailed, watch

SAYS_ROUNDS = "print('Run r: 2 rounds'); print('Round 1/2  loss'); print('else'); print('Round 2/2  loss')"


def test_the_meter_is_read_when_rounds_begin_and_end():
    readings = iter([10.0, 13.0, 20.0])
    rounds = watch([sys.executable, "-c", SAYS_ROUNDS], {}, lambda pid: {"cpu": next(readings)})
    assert [one["cpu"] for one in rounds] == [3.0, 7.0]
    assert all(one["seconds"] >= 0 for one in rounds)


def test_a_command_that_fails_is_no_measurement():
    with pytest.raises(CommandFailed, match=r"status 3\nRun r: 2 rounds"):
        watch([sys.executable, "-c", SAYS_ROUNDS + "; exit(3)"], {}, lambda pid: {})
