"""Supervises jobs until they complete: retries lost and failed ones, enforces deadlines."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import redis

from helpers.cluster import heartbeat, keys
from helpers.cluster.able_workers import AbleWorkers, Workers
from helpers.cluster.connection import address
from helpers.cluster.errors import NoWorkers, RedisUnreachable
from helpers.cluster.job_board import JobBoard
from helpers.cluster.number_facts import NumberDifferences
from helpers.cluster.run_clock import RunClock

TICK_S = 1.0
"""Longest time between two looks at the workers, seconds; an answer wakes the orchestrator at once."""
PICK_UP_S = 10.0
"""A job that is in no queue and on no worker for this long is lost, seconds."""

MOST_LOSSES = 5
"""A job that was lost more often fails: something takes its messages and does nothing."""

Answer = TypeVar("Answer")


@dataclass
class Job:
    """A unit of work, such as a client's training.

    Attributes:
        name: its name on the board.
        label: its name in messages to people, such as `round 1, client 2`.
        queue: where `send` puts it unless a worker is given.
        send: sends an attempt, given its number and a worker's name or None.
        site: the only site that can do it; empty where any worker of the queue can.
        attempt: number of the current attempt.
        failed, lost: how many attempts failed, and were lost.
        sent_at: when the current attempt was sent, on `time.monotonic()`.
        queued_at: when it was last seen waiting in its queue, on the same clock.
        target: the worker it was sent to; None for any that serves the queue.
        runner: the worker whose heartbeat showed it.
        was_waited_for: whether a notice said that no worker takes it.
        was_answered_for: whether the orchestrator answered in place of a worker.
        unable_since: when no live worker was able to do it, on the same clock; None while one is.
    """

    name: str
    label: str
    queue: str
    send: Callable[[int, str | None], None]
    site: str = ""
    attempt: int = 0
    failed: int = 0
    lost: int = 0
    sent_at: float = field(default_factory=time.monotonic)
    queued_at: float = 0.0
    target: str | None = None
    runner: str | None = None
    was_waited_for: bool = False
    was_answered_for: bool = False
    unable_since: float | None = None


@dataclass(frozen=True)
class Deadline:
    """The end of waiting for jobs.

    Attributes:
        at: when, on `time.monotonic()`.
        close: called with every job that has no answer by then; it answers in its place or raises.
    """

    at: float
    close: Callable[[Job], None]

    def seconds_left(self, at_most: float) -> float:
        """Return the seconds to the deadline, at least a hundredth (Redis takes 0 for no limit)."""
        return max(0.01, min(at_most, self.at - time.monotonic()))


def ignore_progress(answers: dict[str, Any], workers: Workers) -> None:
    """Ignore the answers so far and the live workers."""


class Supervisor:
    """Supervises the jobs of a board.

    Args:
        client: connection to Redis.
        board: the run's board.
        patience_s: how long to wait without a live worker, or without Redis, seconds.
        notice: receives lines for the user.
    """

    def __init__(
        self, client: redis.Redis, board: JobBoard, patience_s: float, notice: Callable[[str], None]
    ) -> None:
        self._client = client
        self._board = board
        self._patience_s = patience_s
        self.notice = notice
        self.clock = RunClock(client, **board.identity, notice=notice)
        self._differences = NumberDifferences(notice)
        self._able = AbleWorkers(notice)
        self._workers: Workers = {}  # as last seen
        self._has_served = False  # whether a worker has done a job of this run
        self._alone_since: float | None = None
        self._redis_lost_at: float | None = None
        self._heartbeats_count_from = 0.0
        self._busy_at = 0.0  # when a worker was last seen at work
        self._unserved_since: dict[str, float] = {}  # when a site's queue was first seen without a worker

    def supervise(
        self,
        jobs: Sequence[Job],
        on_failure: Callable[[Job, str], None],
        on_progress: Callable[[dict[str, Any], Workers], None] = ignore_progress,
        deadline: Deadline | None = None,
    ) -> dict[str, Any]:
        """Wait until every job is answered, and return the answers by job name.

        Args:
            jobs: their current attempt has been sent.
            on_failure: called with a job that failed twice and the reason; it answers the job or raises.
            on_progress: called at every look with the answers so far and the live workers.
            deadline: the end of waiting.

        Raises:
            NoWorkers: no live worker for `patience_s`.
            RedisUnreachable: Redis did not answer for `patience_s`.
        """
        answers: dict[str, Any] = {}
        while True:
            try:
                workers = self._look()  # before the answers: see _is_lost
                answers |= self._board.answers([job.name for job in jobs if job.name not in answers])
                on_progress(answers, workers)
                if len(answers) == len(jobs):
                    self._has_served |= any(not job.was_answered_for for job in jobs)
                    return answers
                open_jobs = [job for job in jobs if job.name not in answers]
                if deadline is not None and time.monotonic() >= deadline.at:
                    for job in open_jobs:
                        deadline.close(job)
                    continue
                if not workers:
                    self._wait_for_a_worker()
                self._mend(open_jobs, workers, on_failure)
                self._board.wait(TICK_S if deadline is None else deadline.seconds_left(TICK_S))
                self._redis_lost_at = None
            except (redis.ConnectionError, redis.TimeoutError) as error:
                self._wait_for_redis(error)

    def wait_for_workers(self, lacking: Callable[[Workers], str] = lambda workers: "") -> Workers:
        """Wait until the needed workers are alive, at least one; return the status of all live ones.

        Args:
            lacking: returns what is still missing among the live workers; empty where nothing is.

        Raises:
            NoWorkers, RedisUnreachable: as `supervise`; NoWorkers also if something is missing for
                `patience_s`.
        """
        began: float | None = None
        while True:
            workers = self.retry_redis(self._look)
            if not workers:
                self._wait_for_a_worker()
            missing = lacking(workers)
            if workers and not missing:
                return workers
            if workers and began is None:
                began = time.monotonic()
                self.notice(f"{missing}; waiting {self._patience_s:g} s")
            if began is not None and time.monotonic() - began > self._patience_s:
                raise NoWorkers(f"{missing}; waited {self._patience_s:g} s")
            time.sleep(TICK_S)

    def retry_redis(self, ask: Callable[[], Answer]) -> Answer:
        """Return what `ask` gets from Redis, retrying while Redis does not answer.

        Raises:
            RedisUnreachable: Redis did not answer for `patience_s`.
        """
        while True:
            try:
                answer = ask()
                self._redis_lost_at = None
                return answer
            except (redis.ConnectionError, redis.TimeoutError) as error:
                self._wait_for_redis(error)

    def send_again(self, job: Job, target: str | None = None) -> None:
        """Send the next attempt of a job; answers of earlier ones are refused from now on."""
        target = target or self.target(job.queue)
        job.attempt += 1
        job.target, job.runner, job.sent_at = target, None, time.monotonic()
        self._board.expect({job.name: job.attempt})
        job.send(job.attempt, target)

    def target(self, queue: str) -> str | None:
        """Return the worker that a job of a queue is sent to; None if it goes into the queue."""
        return self._able.target(self._workers, queue) if self._able.unable else None

    def count_serving(self, queue: str) -> int:
        """Return how many live workers serve a queue and this run; wait for the first worker.

        Raises:
            ClusterError: no worker came.
        """
        return len(self._able.serving(self.wait_for_workers(), queue))

    def _look(self) -> Workers:
        """Return the status of the live workers."""
        self.clock.tick()
        workers = heartbeat.live_workers(self._client)
        if workers.keys() != self._workers.keys():
            self._differences.check(workers)
        self._workers = workers
        if workers:
            self._alone_since = None
        if self._unserved_since:
            served = {queue for status in workers.values() for queue in status["queues"]}
            for queue in served & self._unserved_since.keys():
                del self._unserved_since[queue]
        return workers

    def _mend(self, jobs: list[Job], workers: Workers, on_failure: Callable[[Job, str], None]) -> None:
        """Retry failed and lost jobs."""
        failures = self._board.failures([job.name for job in jobs]) if jobs else {}
        waiting = {queue for queue in {job.queue for job in jobs} if self._client.llen(keys.broker(queue))}
        now = time.monotonic()
        if any(status["task"] is not None for status in workers.values()):
            self._busy_at = now
        for job in jobs:
            if job.queue in waiting:
                job.queued_at = now
            failure = failures.get(job.name)
            if failure is not None and failure.get("is_unable"):
                self._retry_elsewhere(job, failure, workers, on_failure)
            elif failure is not None:
                self._retry_failed(job, failure, workers, on_failure)
            elif job.site and self._has_left(job, workers):
                on_failure(job, f"site {job.site} has had no live worker for {self._patience_s:g} s")
            elif self._is_lost(job, workers):
                self._retry_lost(job, on_failure)
            elif job.runner is None and now - job.sent_at >= PICK_UP_S:
                self._warn_if_not_taken(job, workers)

    def _retry_failed(
        self, job: Job, failure: dict[str, Any], workers: Workers, on_failure: Callable[[Job, str], None]
    ) -> None:
        job.failed += 1
        if job.failed > 1:
            on_failure(job, failure["error"])
            return
        self.notice(f"{job.label}: failed on {failure['worker']}: {failure['error']}; retrying")
        self.send_again(job, self._able.another(workers, job.queue, failure["worker"]))

    def _retry_elsewhere(
        self, job: Job, failure: dict[str, Any], workers: Workers, on_failure: Callable[[Job, str], None]
    ) -> None:
        """Send a job that a worker cannot do to one that can. It does not count as failed."""
        self._able.exclude(failure["worker"], workers, failure["error"])
        if self._able.serving(workers, job.queue):
            job.unable_since = None
            self.send_again(job)
            return
        now = time.monotonic()
        if self._has_served and job.unable_since is None:
            self.notice(
                f"{job.label}: no live worker can serve this run; waiting {self._patience_s:g} s for one"
            )
        job.unable_since = job.unable_since or now
        if not self._has_served or now - job.unable_since > self._patience_s:
            on_failure(job, f"no live worker can serve this run: {failure['error']}")

    def _retry_lost(self, job: Job, on_failure: Callable[[Job, str], None]) -> None:
        job.lost += 1
        if job.lost > MOST_LOSSES:
            on_failure(job, f"lost {job.lost} times: no worker keeps it")
            return
        reason = f"worker {job.runner} died" if job.runner else "no worker has it"
        self.notice(f"{job.label}: {reason}; retrying on another worker")
        self.send_again(job)

    # A worker answers before its heartbeat stops showing the task, and the workers were read before the
    # answers. So a job without an answer that its runner no longer shows was dropped.
    def _is_lost(self, job: Job, workers: Workers) -> bool:
        """Return whether no worker has the job or will get it."""
        now = time.monotonic()
        if now < self._heartbeats_count_from:
            return False
        for name, status in workers.items():
            task = status["task"] or {}
            if task.get("job") == job.name and task.get("attempt") == job.attempt:
                job.runner = name
                return False
        if job.runner is not None:
            return True
        if job.target is not None:
            return now - job.sent_at >= PICK_UP_S and job.target not in workers
        # A worker that takes a job out of the queue needs a moment to show it.
        return now - max(job.sent_at, job.queued_at) >= PICK_UP_S

    def _has_left(self, job: Job, workers: Workers) -> bool:
        """Return whether the job's site has been without a live worker for too long.

        The time counts from one job to the next: a site that left during training is not waited for again.
        """
        now = time.monotonic()
        if any(job.queue in status["queues"] for status in workers.values()) or (
            now < self._heartbeats_count_from
        ):
            return False
        if job.queue not in self._unserved_since:
            self._unserved_since[job.queue] = now
            self.notice(
                f"{job.label}: site {job.site} has no live worker; waiting {self._patience_s:g} s for one"
            )
        return now - self._unserved_since[job.queue] > self._patience_s

    def _warn_if_not_taken(self, job: Job, workers: Workers) -> None:
        """Warn once about a job that stays in its queue while all workers are idle."""
        has_waited = time.monotonic() - max(job.sent_at, self._busy_at) >= PICK_UP_S
        if workers and job.runner is None and has_waited and not (job.was_waited_for or job.site):
            job.was_waited_for = True
            self.notice(
                f"{job.label}: waits in the queue {job.queue} and no worker takes it: "
                "start one without -Q, or one that serves that queue"
            )

    def _wait_for_a_worker(self) -> None:
        """Say once that no worker is alive, and raise NoWorkers if none has come for `patience_s`."""
        now = time.monotonic()
        if now < self._heartbeats_count_from:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
            self.notice(f"no live worker: {HOW_TO_START}. Waiting {self._patience_s:g} s for one")
        elif now - self._alone_since > self._patience_s:
            raise NoWorkers(f"no live worker for {self._patience_s:g} s: {HOW_TO_START}")

    def _wait_for_redis(self, error: Exception) -> None:
        """Wait for Redis, and give the workers time to renew their heartbeats."""
        now = time.monotonic()
        if self._redis_lost_at is None:
            self._redis_lost_at = now
            self.notice(
                f"Redis at {address(self._client)} does not answer; waiting {self._patience_s:g} s for it"
            )
        if now - self._redis_lost_at > self._patience_s:
            raise RedisUnreachable(
                f"Redis at {address(self._client)} did not answer for {self._patience_s:g} s ({error})"
            )
        self._heartbeats_count_from = now + heartbeat.LIFETIME_S
        time.sleep(TICK_S)


HOW_TO_START = (
    "start workers with `python run.py up --workers 3`, or each in its terminal with "
    "`celery --app=celery_app worker --pool=solo --loglevel=info --hostname=worker1@%h`"
)
