"""The run's time goes on evenly, whatever Redis' clock does."""

from typing import Any

import pytest

from helpers.cluster import run_clock
from helpers.cluster.run_clock import RunClock, seconds_since_dispatch
from helpers.federated.messages import RoundOrder


class Machine:
    """A Redis with a clock, and the orchestrator's monotonic clock."""

    def __init__(self) -> None:
        self.redis_clock, self.monotonic_clock = 1_000_000.0, 50.0
        self.values: dict[str, bytes] = {}

    def time(self) -> tuple[int, int]:
        return int(self.redis_clock), 0

    def monotonic(self) -> float:
        return self.monotonic_clock

    def set(self, key: str, value: str, ex: int) -> None:
        self.values[key] = value.encode()

    def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    def passes(self, seconds: float) -> None:
        self.redis_clock += seconds
        self.monotonic_clock += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(run_clock, "time", machine)
    return machine


def order_sent(at: float) -> RoundOrder:
    return RoundOrder("r", "s", {}, "", {}, 0, 1, [0], {}, at, num_clients=1)


@pytest.mark.parametrize("jump", [7200, -7200])
def test_a_jump_is_announced_once_and_changes_no_time(machine: Any, jump: float) -> None:
    jumps: list[float] = []
    clock = RunClock(machine, "r", "s", jumps.append)
    order = order_sent(clock.tick())
    machine.passes(3)
    assert seconds_since_dispatch(machine, order) == 3
    machine.redis_clock += jump
    assert seconds_since_dispatch(machine, order) == 0  # within a second, before the orchestrator looks
    clock.tick()
    machine.passes(2)
    assert seconds_since_dispatch(machine, order) == 5
    clock.tick()
    assert jumps == [jump]


def test_an_order_that_waits_while_the_clock_jumps_keeps_its_deadline(machine: Any) -> None:
    clock = RunClock(machine, "r", "s", lambda jump: None)
    order = order_sent(clock.tick())
    for second in range(100):
        machine.passes(1)
        machine.redis_clock += 7200 * (second == 50)
        clock.tick()
    assert seconds_since_dispatch(machine, order) == 100


def test_slow_drift_is_no_jump(machine: Any) -> None:
    jumps: list[float] = []
    clock = RunClock(machine, "r", "s", jumps.append)
    for _ in range(10):
        clock.tick()
        machine.passes(1)
        machine.redis_clock += 1
    assert jumps == []


@pytest.mark.parametrize("written", [None, b"", b"1", b"x y", b"1 2 3", b"nan nan", b"1 inf", b"1000000 5"])
def test_without_a_time_of_the_run_the_round_has_just_begun(machine: Any, written: bytes | None) -> None:
    machine.get = lambda key: written
    assert seconds_since_dispatch(machine, order_sent(50.0)) == 0
