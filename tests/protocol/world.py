"""The world of the protocol model: orchestrators, workers, messages and files, with the real protocol.

Redis is in memory, time is virtual, and a training takes one step. Job board, dispatcher, supervisor, worker
session, fence and run log are those of the project.
"""

import contextlib
import json
import os
import random
import secrets
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from helpers.cluster import heartbeat, keys, ownership, supervision, worker_session
from helpers.cluster.dispatch import raise_failure
from helpers.cluster.errors import ClusterError
from helpers.cluster.heartbeat import INTERVAL_S, LIFETIME_S
from helpers.cluster.run_clock import MOST_GAINED_S, seconds_since_dispatch
from helpers.cluster.supervision import Supervisor
from helpers.cluster.versions import versions_here
from helpers.cluster.worker_session import WorkerSession
from helpers.federated.messages import FinishOrder, Order, RoundOrder, StartOrder, TrainOrder
from helpers.federated.results import Averaged
from helpers.federated.weights import schema_of
from helpers.run_records import fence
from helpers.run_records.checkpoint import read_state
from helpers.run_records.files import RunFolders, write_whole
from helpers.run_records.run_log import begin_run, commit_round, resume_run
from helpers.settings.errors import UserError
from tests.protocol.actors import Actor, as_file_step, current, pause
from tests.protocol.invariants import Invariants
from tests.protocol.memory_redis import MemoryRedis
from tests.protocol.parts import ModelBoard, ModelClock, ModelDispatcher

RUN = "r"
ROUNDS = 2
SCHEMA = schema_of(["a"], [np.zeros(2, np.float32)])
QUEUES = ("train", "aggregate")
MEMORY = Path("/dev/shm")
FILE_STEPS = ("open", "replace", "rename", "unlink", "mkdir", "glob", "exists", "read_bytes")
"""Operations of pathlib before which a process may be stopped, as before each command of Redis."""
CHANGES = ("replace", "rename", "unlink")
"""Those that change what a run has on disk."""
REDIS = MemoryRedis()
"""One for all worlds, as its interpreter of scripts is made in a hundredth of a second."""


class World:
    """A run, its processes and what happens to them."""

    def __init__(self) -> None:
        self.now = 1e9
        self.redis_is_ahead = 0.0  # of `now`, seconds
        self.redis = REDIS
        self.redis.is_away = False
        self.redis.flushall()
        self.redis.script_flush()  # each history loads them with the same steps
        self.away_until = self.next_beats = 0.0
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.folders = RunFolders(*(Path(self.folder.name) / name / RUN for name in ("metrics", "models")))
        self.sessions: dict[str, WorkerSession] = {}
        self.orchestrators: list[Actor] = []
        self.changes = 0  # of the run's files, until now
        self.clocks: dict[str, ModelClock] = {}  # of the run, by session
        self.invariants = Invariants(self.folders)
        self.workers = [Actor(name, partial(self._work, name), -5e8) for name in ("w0@a", "w1@b")]
        self._patch = pytest.MonkeyPatch()
        self._make_everything_a_step()

    # Time

    def monotonic(self) -> float:
        """Return the monotonic clock of the machine on which the process that calls this runs."""
        actor = current()
        return self.now + (actor.clock_ahead if actor else 0.0)

    def sleep(self, seconds: float) -> None:
        """Let the process that calls this sleep."""
        if actor := current():
            actor.wake_at = self.now + seconds
            while self.now < actor.wake_at:
                actor.pause()

    def tick(self, seconds: float) -> None:
        """Let time pass: workers that run renew their heartbeats, as their threads do."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + INTERVAL_S)
            self.redis.is_away = self.now < self.away_until
            if self.now < self.next_beats or self.redis.is_away:
                continue
            self.next_beats = self.now + INTERVAL_S
            for worker in self.workers:
                if not worker.is_stalled and worker.name in self.sessions:
                    status = self.sessions[worker.name].heartbeat._encoded()
                    self.redis.set(keys.worker(worker.name), status, ex=LIFETIME_S)

    def actors(self) -> list[Actor]:
        """Return the processes that can do a step now."""
        return [actor for actor in self.everyone() if not actor.is_blocked and actor.wake_at <= self.now]

    def everyone(self) -> list[Actor]:
        return [*self.orchestrators, *self.workers]

    def send(self, queue: str, message: str) -> None:
        """Put a message into a queue; workers wake up."""
        self.redis.rpush(queue, message)
        for worker in self.workers:
            worker.wake_at = self.now

    def go_on(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Let all that can run go on for some time, step by step in turn."""
        end = self.now + seconds
        while self.now < end and not until():
            for actor in (ready := self.actors()):
                self.step(actor)
            if not ready:
                awake = [actor.wake_at for actor in self.everyone() if not actor.is_blocked]
                self.tick(min([end, *awake]) - self.now)
        self.check()

    def step(self, actor: Actor) -> None:
        """Let a process do a step, and check what it has changed."""
        is_change = actor.next_step in CHANGES
        actor.step()
        if is_change:
            self.changes += 1
            self.check()

    def stop_at_a_file(self, which: int, files: int, seconds: float) -> None:
        """Stop a worker before one of its operations on files; the others go on for some time."""
        worker = self.workers[which]
        last = worker.file_steps + files
        self.go_on(30, lambda: worker.file_steps >= last)
        worker.is_stalled = True
        self.go_on(seconds)

    def stop_at_a_change(self, number: int, seconds: float) -> None:
        """Stop a worker before one of the next changes of the run's files; the other goes on."""
        last = self.changes + number
        self.go_on(30, lambda: self.changes >= last and self._is_changing())
        for worker in self.workers:
            worker.is_stalled |= worker.next_step in CHANGES
        self.go_on(seconds)

    def _is_changing(self) -> bool:
        return any(worker.next_step in CHANGES for worker in self.workers)

    def is_training(self) -> bool:
        return any(worker.next_step == "train" for worker in self.workers)

    def settle(self) -> None:
        """Let everything that can run come to its end; each call ends."""
        self.go_on(5000, lambda: all(actor.is_blocked for actor in self.orchestrators))
        running = [actor.name for actor in self.orchestrators if not actor.is_blocked]
        assert not running, f"{running} never ended"

    def close(self) -> None:
        for actor in self.everyone():
            actor.kill()
        self._patch.undo()
        self.folder.cleanup()

    def _make_everything_a_step(self) -> None:
        """Make time that of the model, and every command of Redis and operation on files a step."""
        patch = self._patch.setattr
        patch(time, "time", lambda: self.now + self.redis_is_ahead)
        patch(time, "monotonic", self.monotonic)
        patch(time, "sleep", self.sleep)
        patch(os, "fsync", lambda file: None)
        patch(secrets, "token_hex", lambda size: random.randbytes(size).hex())  # seeded by hypothesis
        patch(worker_session, "connect", lambda url: self.redis)
        patch(RunFolders, "of", lambda config, run: self.folders)
        patch(worker_session, "_folders", dict)  # reads the settings, which takes long
        patch(worker_session.logger, "disabled", True)
        patch(heartbeat.logger, "disabled", True)
        patch(supervision, "TICK_S", 4.0)
        for name in FILE_STEPS:
            patch(Path, name, as_file_step(getattr(Path, name)))

    def flush(self) -> None:
        """Make Redis lose everything."""
        self.redis.flushall()
        self.invariants.forget_claims()

    def set_clock_of_redis(self, seconds: float) -> None:
        """Set the clock of Redis' machine forward or back."""
        self.redis_is_ahead += seconds
        if seconds > keys.LIFETIME_S:
            self.invariants.forget_claims()
        elif seconds > 0:  # the claim looks older than it is
            self.invariants.held = ("", 0.0)

    # Orchestrators

    def add_orchestrator(self, *, force: bool = False, overwrite: bool = False) -> Actor:
        """Start another one, which resumes the run if there is one and `overwrite` is not set."""
        name = f"s{len(self.orchestrators)}"
        resume = self.folders.state.exists() and not overwrite
        clock_ahead = 1e6 * len(self.orchestrators)
        run = partial(self._orchestrate, name, resume, overwrite, force)
        self.orchestrators.append(Actor(name, run, clock_ahead))
        return self.orchestrators[-1]

    def _orchestrate(self, session: str, resume: bool, overwrite: bool, force: bool) -> None:
        board = ModelBoard(self.redis, RUN, session, self._note_claim)
        supervisor = Supervisor(self.redis, board, 60.0, str)
        clock = ModelClock(self.redis, RUN, session, supervisor._forgive_jump)
        clock.clock_ahead = self.monotonic() - self.now
        self.clocks[session] = supervisor.clock = clock
        dispatcher = ModelDispatcher(board, supervisor, self.send)
        ownership.take_run_over(board, force=force, notice=str, sleep=self.sleep)
        facts: tuple[Any, ...] = (RUN, session, {}, "", versions_here(), 0)
        try:
            began = dispatcher.run_order(StartOrder(*facts, resume, overwrite))
            for number in range(began["round"] + 1, ROUNDS + 1):
                sent_at = supervisor.retry_redis(supervisor.clock.tick)
                order = RoundOrder(*facts, number, [0, 1], {}, sent_at, num_clients=2)
                trainings = [TrainOrder.of(order, client) for client in (0, 1)]
                dispatcher.run_orders(trainings, raise_failure, dispatcher.deadline())
                dispatcher.run_order(order)
            dispatcher.run_order(FinishOrder(*facts))
        finally:
            with contextlib.suppress(redis.RedisError):
                board.close()

    def _note_claim(self, session: str, force: bool) -> None:
        self.invariants.note_claim(session, force, self.now)

    # Workers

    def _work(self, name: str) -> None:
        kinds = {"start": StartOrder, "train": TrainOrder, "aggregate": RoundOrder, "finish": FinishOrder}
        session = self.sessions[name] = WorkerSession(name, "", 1)
        session.heartbeat.show_ready(QUEUES)
        while True:
            with contextlib.suppress(redis.RedisError):
                for queue in filter(self.redis.has, (name, *QUEUES)):
                    if message := self.redis.lpop(queue):
                        kind, order = json.loads(message)
                        session.run_order(kinds[kind], order, self._run)
            self.sleep(INTERVAL_S)

    def _run(self, order: Order) -> dict[str, Any]:
        if order.writes:
            self.invariants.note_take_over(order)
        answer: dict[str, Any] = getattr(self, f"_{order.job.partition(':')[0]}")(order)
        return answer

    def _start(self, order: StartOrder) -> dict[str, Any]:
        if order.resume:
            return {"round": resume_run(self.folders, order, SCHEMA)[0].round}
        return {"round": begin_run(self.folders, order, SCHEMA, [np.zeros(2, np.float32)]).round}

    def _train(self, order: TrainOrder) -> dict[str, Any]:
        pause("train")
        clock = self.clocks[order.session]
        least = clock.shared - order.sent_at
        seconds = seconds_since_dispatch(self.redis, order)
        passed = self.now + clock.clock_ahead - order.sent_at
        if not self.redis.has(keys.of_session(RUN, order.session, "clock")):
            least = 0.0
        if not least - 0.001 <= seconds <= passed + MOST_GAINED_S:
            fault = f"{seconds} s since the dispatch, which was {passed} s ago; {least} s shared"
            self.invariants.faults.append(fault)
        self.sleep(2)
        return {}

    def _aggregate(self, order: RoundOrder) -> dict[str, Any]:
        if read_state(self.folders)[0].round == order.round:  # as `tasks.round_record.recorded_round`
            return {}
        rows = {"rounds.csv": [{"round": order.round, "roc_auc": order.round / 10}]}
        averaged = Averaged({}, {}, [], {}, {}, None)
        weights = [np.full(2, order.round, np.float32)]
        commit_round(self.folders, order, SCHEMA, weights, averaged, rows)
        return {}

    def _finish(self, order: FinishOrder) -> dict[str, Any]:
        write_whole(self.folders.models / "best.keras", b"best")
        fence.release()
        return {}

    # What must hold

    def check(self) -> None:
        """Check the invariants, at any moment."""
        for actor in self.workers:
            assert actor.error is None, actor.error
        for actor in self.orchestrators:
            assert isinstance(actor.error, ClusterError | UserError | redis.RedisError | None), actor.error
        self.invariants.check()
