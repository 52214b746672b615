"""The protocol of board, supervisor, fence and run log under any history of stalls, losses and messages."""

import collections
import functools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from helpers.run_records.checkpoint import read_state
from tests.protocol.world import QUEUES, ROUNDS, World

INJECTED: collections.Counter[str] = collections.Counter()
"""How often each fault was injected."""


def fault(**strategies: Any) -> Callable[[Callable[..., None]], Any]:
    """Return a rule that is counted as a fault."""

    def decorate(inject: Callable[..., None]) -> Any:
        @functools.wraps(inject)
        def counted(*arguments: Any, **options: Any) -> None:
            INJECTED[inject.__name__] += 1
            inject(*arguments, **options)

        return rule(**strategies)(counted)

    return decorate


class Protocol(RuleBasedStateMachine):
    """A run of two rounds by two workers, and what happens to it."""

    @initialize(overwrite=st.booleans(), files=st.none() | st.none() | st.integers(1, 12))
    def begin(self, overwrite: bool, files: int | None) -> None:
        self.world = World()
        self.world.add_orchestrator(overwrite=overwrite)
        if files:  # the start is the order whose repetition would do most harm
            self.world.stop_at_a_file(0, files, 60)

    @rule(which=st.integers(0, 9), steps=st.sampled_from([1, 2, 5, 20, 100]))
    def one_goes_on(self, which: int, steps: int) -> None:
        for _ in range(steps):
            if ready := self.world.actors():
                self.world.step(ready[which % len(ready)])

    @rule(seconds=st.sampled_from([1, 5, 20, 40]))
    def all_go_on(self, seconds: float) -> None:
        self.world.go_on(seconds)

    @rule(seconds=st.sampled_from([1, 5, 20, 40]))
    def time_passes(self, seconds: float) -> None:
        self.world.tick(seconds)

    @fault(
        which=st.integers(0, 1),
        files=st.integers(1, 9) | st.integers(10, 60),
        seconds=st.sampled_from([10, 60, 200]),
    )
    def a_worker_stops_at_a_file(self, which: int, files: int, seconds: float) -> None:
        self.world.stop_at_a_file(which, files, seconds)

    @fault(number=st.integers(1, 20), seconds=st.sampled_from([20, 60]))
    def a_worker_stops_in_a_commit(self, number: int, seconds: float) -> None:
        self.world.stop_at_a_change(number, seconds)

    @fault(which=st.integers(0, 1))
    def a_worker_stops_or_wakes(self, which: int) -> None:
        self.world.workers[which].is_stalled ^= True

    @fault()
    def the_orchestrator_stops_or_wakes(self) -> None:
        self.world.orchestrators[-1].is_stalled ^= True

    @rule()
    def all_wake(self) -> None:
        for actor in self.world.everyone():
            actor.is_stalled = False
        self.world.go_on(5)

    @fault()
    def the_orchestrator_is_killed(self) -> None:
        self.world.orchestrators[-1].kill()

    @precondition(lambda self: len(self.world.orchestrators) < 4)
    @fault(force=st.booleans(), overwrite=st.sampled_from([False, False, False, True]))
    def another_orchestrator_comes(self, force: bool, overwrite: bool) -> None:
        self.world.add_orchestrator(force=force, overwrite=overwrite)

    @fault(queue=st.sampled_from(QUEUES), what=st.sampled_from(["drop", "repeat", "corrupt", "cut"]))
    def a_message_is_disturbed(self, queue: str, what: str) -> None:
        redis = self.world.redis
        if redis.is_away or (message := redis.lpop(queue)) is None:
            return
        kind, order = json.loads(message)
        if what == "repeat":
            self.world.send(queue, message)
            self.world.send(queue, message)
        elif what != "drop":
            order = 5 if what == "corrupt" else dict(list(order.items())[:-2])
            self.world.send(queue, json.dumps([kind, order]))

    @fault()
    def redis_loses_everything(self) -> None:
        if not self.world.redis.is_away:
            self.world.flush()

    @fault(seconds=st.sampled_from([-7200, -60, -7, 7, 60, 7200, 100_000]), in_training=st.booleans())
    def the_clock_of_redis_is_set(self, seconds: float, in_training: bool) -> None:
        if in_training:
            self.world.go_on(30, self.world.is_training)
        self.world.set_clock_of_redis(seconds)

    @fault(seconds=st.sampled_from([2, 30]))
    def redis_is_away(self, seconds: float) -> None:
        self.world.away_until = self.world.now + seconds
        self.world.redis.is_away = True

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        try:
            world.workers[0].is_stalled &= not all(worker.is_stalled for worker in world.workers)
            world.settle()
            for actor in world.everyone():
                actor.is_stalled = False
            world.settle()
            world.go_on(60)
            # Whatever happened, a resume finishes the run.
            last = world.add_orchestrator()
            world.settle()
            assert last.error is None, last.error
            assert read_state(world.folders)[0].round == ROUNDS
            assert len((world.folders.metrics / "rounds.csv").read_text().splitlines()) == 1 + ROUNDS
            assert (world.folders.models / "best.keras").exists()
        finally:
            world.close()


def run_histories(count: int, steps: int) -> None:
    """Run histories; a failing one is printed with the line that repeats it."""
    profile = settings(
        max_examples=count, stateful_step_count=steps, deadline=None, print_blob=True,
        suppress_health_check=list(HealthCheck), phases=[Phase.reuse, Phase.generate],
    )  # fmt: skip
    INJECTED.clear()
    run_state_machine_as_test(Protocol, settings=profile)
    print(f"{count} histories with {INJECTED.total()} faults: {dict(INJECTED)}")


def test_some_histories() -> None:
    run_histories(150, 8)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_thousand_histories() -> None:
    run_histories(2000, 8)
