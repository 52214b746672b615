"""What the benchmarks count with: turns, ratios, verdicts, meters; and that their pins are the project's."""

import os
import re
import sys
import time
from pathlib import Path

import pytest

from benchmarks.records import Record, Target
from benchmarks.turns import in_turn
from benchmarks.watching import CommandFailed, watch

ROOT = Path(__file__).resolve().parents[3]
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_every_contender_has_its_turn_and_each_begins_once():
    order = []
    contenders = {name: lambda name=name: order.append(name) or name.upper() for name in "abc"}
    told = []
    answers = in_turn(contenders, 3, lambda name, answer: told.append((name, answer)))
    assert "".join(order) == "abcbcacab"
    assert answers == {"a": ["A"] * 3, "b": ["B"] * 3, "c": ["C"] * 3}
    assert told[:2] == [("a", "A"), ("b", "B")]


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


SAYS_ROUNDS = "print('Run r: 2 rounds'); print('Round 1/2  loss'); print('else'); print('Round 2/2  loss')"


def test_the_meter_is_read_when_rounds_begin_and_end():
    readings = iter([10.0, 13.0, 20.0])
    rounds = watch([sys.executable, "-c", SAYS_ROUNDS], {}, lambda pid: {"cpu": next(readings)})
    assert [one["cpu"] for one in rounds] == [3.0, 7.0]
    assert all(one["seconds"] >= 0 for one in rounds)


def test_a_command_that_fails_is_no_measurement():
    with pytest.raises(CommandFailed, match=r"status 3\nRun r: 2 rounds"):
        watch([sys.executable, "-c", SAYS_ROUNDS + "; exit(3)"], {}, lambda pid: {})


@linux_only
def test_processor_time_and_memory_of_a_process_and_its_children():
    from benchmarks.apart import Apart
    from benchmarks.processes import cpu_seconds, family, peak_bytes, shared_out_bytes

    with Apart("collections.Counter", "a" * 20_000_000) as process:
        assert process.ask("get", "a") == 20_000_000
        assert process.pid in family([os.getpid()])
        assert 0.1 < cpu_seconds([process.pid]) < 60
        assert 5e6 < shared_out_bytes([process.pid]) <= peak_bytes(process.pid)
        assert peak_bytes(process.pid) > 20_000_000  # the text itself
        used = cpu_seconds([process.pid])
        time.sleep(0.3)
        assert cpu_seconds([process.pid]) == used  # waiting costs nothing


@linux_only
def test_a_contender_that_raises_hands_its_traceback_over():
    from benchmarks.apart import Apart, ContenderFailed

    with (
        Apart("pathlib.Path", "/absent") as process,
        pytest.raises(ContenderFailed, match="FileNotFoundError"),
    ):
        process.ask("stat")


def test_flower_computes_with_the_versions_of_the_project():
    pin = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)
    locked = dict(pin.findall((ROOT / "requirements.lock").read_text()))
    theirs = dict(pin.findall((ROOT / "benchmarks/requirements.txt").read_text()))
    shared = {"tensorflow", "keras", "numpy", "ml-dtypes"}
    assert {name: theirs[name] for name in shared} == {name: locked[name] for name in shared}
