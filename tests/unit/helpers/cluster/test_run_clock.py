"""The run's time goes on evenly, whatever Redis' clock does."""

from typing import Any

import pytest

from helpers.cluster import run_clock
from helpers.cluster.run_clock import RunClock, run_time


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


@pytest.mark.parametrize("jump", [7200, -7200])
def test_a_jump_is_announced_once_and_corrected(machine: Any, jump: float) -> None:
    notices: list[str] = []
    clock = RunClock(machine, "r", "s", notices.append)
    sent_at = clock.tick()
    machine.passes(3)
    machine.redis_clock += jump
    assert run_time(machine, "r", "s") - sent_at == 0  # before the orchestrator has looked
    assert clock.tick() - sent_at == 3
    machine.passes(2)
    assert run_time(machine, "r", "s") - sent_at == 5
    assert clock.tick() - sent_at == 5
    assert notices == [f"the clock of Redis' machine jumped by {jump:+d} s; this run corrects for it"]


def test_slow_drift_is_no_jump(machine: Any) -> None:
    notices: list[str] = []
    clock = RunClock(machine, "r", "s", notices.append)
    for _ in range(10):
        clock.tick()
        machine.passes(1)
        machine.redis_clock += 1
    assert notices == []


@pytest.mark.parametrize("written", [None, b"", b"1", b"x y", b"1 2 3"])
def test_without_the_runs_time_redis_time_counts(machine: Any, written: bytes | None) -> None:
    machine.get = lambda key: written
    assert run_time(machine, "r", "s") == 1_000_000
