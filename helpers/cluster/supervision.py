"""Supervises jobs until they complete: retries lost and failed ones, enforces deadlines."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import redis

from helpers.cluster import heartbeat, keys
from helpers.cluster.advice import HOW_TO_START, how_to_start_at
from helpers.cluster.connection import address
from helpers.cluster.errors import NoWorkers, RedisUnreachable
from helpers.cluster.job_board import JobBoard
from helpers.cluster.jobs import Deadline, Job
from helpers.cluster.refusals import explain, is_away, is_passing, translated
from helpers.cluster.run_clock import RunClock
from helpers.cluster.run_workers import RunWorkers
from helpers.cluster.worker_status import Workers

TICK_S = 1.0
"""Time between two looks at workers and jobs, seconds; a failure and the last answer end it."""
STOPPED_S = TICK_S + heartbeat.INTERVAL_S
"""A look that comes after a longer time shows that this process was stopped, and perhaps the workers too."""
PICK_UP_S = 10.0
"""A job that is in no queue and on no worker for this long is lost, seconds."""
UNABLE_S = 2.0 * heartbeat.LIFETIME_S
"""How long to wait while no live worker can serve the run, seconds: a good one may be restarting."""

MOST_LOSSES = 5
"""A job that was lost more often fails: something takes its messages and does nothing."""

NEVER = Deadline(math.inf, lambda job: None)
Answer = TypeVar("Answer")


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
        self.workers = RunWorkers(client, notice)
        self.clock = RunClock(client, **board.identity, on_jump=self._forgive_jump)
        self.how_to_start = HOW_TO_START
        self._alone_since: float | None = None
        self._redis_lost_at: float | None = None
        self._heartbeats_count_from = 0.0
        self._looked_at, self._pause = math.inf, 0.0  # the time between the last two looks
        self._busy_at = 0.0  # when a worker was last seen at work
        self._unserved_since: dict[str, float] = {}  # when a site's queue was first seen without a worker

    def supervise(
        self,
        jobs: Sequence[Job],
        on_failure: Callable[[Job, str], None],
        on_progress: Callable[[dict[str, Any], Workers], None] = lambda answers, workers: None,
        deadline: Deadline = NEVER,
    ) -> dict[str, Any]:
        """Wait until every job is answered, and return the answers by job name.

        Args:
            jobs: their current attempt has been sent.
            on_failure: called with a job that failed twice and the reason; it answers the job or raises.
            on_progress: called at every look with the answers so far and the live workers.
            deadline: the end of waiting.

        Raises:
            NoWorkers: no live worker for `patience_s`.
            RunTakenOver: another process took over the run.
            RedisUnreachable: Redis did not answer for `patience_s`.
            RedisRefuses: it cannot serve.
        """
        answers: dict[str, Any] = {}
        while True:
            try:
                open_jobs = [job for job in jobs if job.name not in answers]
                workers = self._look(open_jobs)  # before the answers: see _is_lost
                answers |= self._board.answers([job.name for job in open_jobs])
                on_progress(answers, workers)
                if len(answers) == len(jobs):
                    return answers
                open_jobs = [job for job in open_jobs if job.name not in answers]
                if time.monotonic() >= deadline.at:
                    self._board.expect({job.name: job.attempt for job in open_jobs})  # Redis may have lost it
                    for job in open_jobs:
                        deadline.close(job)
                    continue
                if not workers:
                    self._wait_for_a_worker()
                self._mend(open_jobs, workers, on_failure)
                until = min(time.monotonic() + TICK_S, deadline.at)
                answers |= self._answered_until(until, {job.name for job in open_jobs})
                self._redis_lost_at = None
            except redis.RedisError as error:
                self._wait_for_redis(error)

    def _answered_until(self, until: float, jobs: set[str]) -> dict[str, Any]:
        """Return the answers that come until then; earlier once all jobs are answered, or one has failed."""
        answers: dict[str, Any] = {}
        while (seconds := until - time.monotonic()) > 0 and len(answers) < len(jobs):
            heard_of = jobs.intersection(self._board.wait(max(0.01, seconds)))  # Redis takes 0 for no limit
            answers |= (news := self._board.answers(sorted(heard_of)))
            if len(news) < len(heard_of):
                break
        return answers

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
            except redis.RedisError as error:
                self._wait_for_redis(error)

    def send_again(self, job: Job, target: str | None = None) -> None:
        """Send the next attempt of a job; answers of earlier ones are refused from now on."""
        if self.workers.unable and target is None:
            target = self.workers.target(job.queue)
        job.attempt += 1
        job.target, job.runner, job.sent_at = target, None, time.monotonic()
        self._board.expect({job.name: job.attempt})
        job.send(job.attempt, target)

    def _look(self, jobs: Sequence[Job] = ()) -> Workers:
        """Hold the run with its open jobs, and return the status of the live workers."""
        if not self._board.hold():
            self._heartbeats_count_from = time.monotonic() + heartbeat.LIFETIME_S
            self.notice("Redis has lost the entries of this run; its open jobs are sent again")
            if jobs:
                self._board.expect({job.name: job.attempt for job in jobs})
        self.clock.tick()
        workers = self.workers.look()
        pause, self._looked_at = time.monotonic() - self._looked_at, time.monotonic()
        if pause > STOPPED_S >= self._pause:  # all processes were stopped; a command that is slow goes on so
            self._heartbeats_count_from = self._looked_at + heartbeat.LIFETIME_S
        self._pause = pause
        if workers:
            self._alone_since = None
        if self._unserved_since:
            served = {queue for status in workers.values() for queue in status["queues"]}
            for queue in served & self._unserved_since.keys():
                del self._unserved_since[queue]
        return workers

    def _forgive_jump(self, seconds: float) -> None:
        """Say that Redis' clock has jumped; heartbeats may have expired, and count once they are renewed."""
        self.notice(f"the clock of Redis' machine jumped by {seconds:+.0f} s; deadlines are corrected for it")
        self._heartbeats_count_from = time.monotonic() + heartbeat.LIFETIME_S

    def _mend(self, jobs: list[Job], workers: Workers, on_failure: Callable[[Job, str], None]) -> None:
        """Retry failed and lost jobs."""
        failures = self._board.failures([job.name for job in jobs])
        queues = {job.queue for job in jobs}
        waiting = {queue for queue in queues if self._client.exists(keys.namespace() + queue)}
        now = time.monotonic()
        if any(status["task"] is not None for status in workers.values()):
            self._busy_at = now
        for job in jobs:
            if job.queue in waiting:
                job.queued_at = now
            failure = failures.get(job.name)
            if failure is not None:
                self._retry_failed(job, failure, on_failure)
            elif job.site and (reason := self._why_absent(job, workers)):
                on_failure(job, f"the site {reason}")
            elif self._is_lost(job, workers):
                self._retry_lost(job, on_failure)
            elif job.runner is None and now - job.sent_at >= PICK_UP_S:
                self._warn_if_not_taken(job, workers)

    def _retry_failed(
        self, job: Job, failure: dict[str, Any], on_failure: Callable[[Job, str], None]
    ) -> None:
        if failure.get("is_unable") is True:
            self._pass_on(job, failure, on_failure)
            return
        job.failed += 1
        if job.failed > 1:
            on_failure(job, failure["error"])
            return
        self.notice(f"{job.label}: failed on {failure['worker']}: {failure['error']}; retrying")
        others = [name for name in self.workers.serving(job.queue) if name != failure["worker"]]
        self.send_again(job, others[0] if others else None)

    def _pass_on(self, job: Job, failure: dict[str, Any], on_failure: Callable[[Job, str], None]) -> None:
        """Send a job that its worker cannot do to one that can. It does not count as failed."""
        self.workers.exclude(failure["worker"], failure["error"])
        if self.workers.serving(job.queue):
            self.send_again(job)
        elif self.workers.able():  # but none of them serves this queue
            on_failure(job, failure["error"])

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
            task = status["task"]
            if task and (task["job"], task["attempt"]) == (job.name, job.attempt):
                job.runner = name
                return False
        if job.runner is not None:
            return True
        if job.target in workers and workers[job.target]["task"]:  # it has another task to finish
            job.queued_at = now
        # A worker that takes a job out of the queue needs a moment to show it.
        return now - max(job.sent_at, job.queued_at) >= PICK_UP_S

    def _why_absent(self, job: Job, workers: Workers) -> str:
        """Return why the job's site is not waited for: it left, or had no live worker for too long.

        The time counts from one job to the next: a site that vanished in training is not waited for again.
        """
        now = time.monotonic()
        if now < self._heartbeats_count_from or any(job.queue in each["queues"] for each in workers.values()):
            return ""
        if self._client.exists(keys.left(job.site)):
            return "has left"
        if job.queue not in self._unserved_since:
            self._unserved_since[job.queue] = now
            self.notice(
                f"{job.label}: site {job.site} has no live worker; waiting {self._patience_s:g} s for one; "
                + how_to_start_at(job.site)
            )
        has_waited = now - self._unserved_since[job.queue] > self._patience_s
        return f"has had no live worker for {self._patience_s:g} s" if has_waited else ""

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
        now, what, patience_s = time.monotonic(), "no live worker", self._patience_s
        if reasons := self.workers.reasons():
            what, patience_s = "no live worker can serve this run", min(patience_s, UNABLE_S)
        if now < self._heartbeats_count_from:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
            self.notice(f"{what}: {self.how_to_start}. Waiting {patience_s:g} s for one")
        elif now - self._alone_since > patience_s:
            raise NoWorkers(f"{what} for {patience_s:g} s: {reasons or self.how_to_start}")

    def _wait_for_redis(self, error: redis.RedisError) -> None:
        """Wait for Redis, and give the workers time to renew their heartbeats."""
        place, now = address(self._client), time.monotonic()
        if not is_passing(error):
            raise translated(error, place) from None
        if self._redis_lost_at is None:
            self._redis_lost_at = now
            what = "does not answer" if is_away(error) else f"cannot serve: {explain(error)}"
            self.notice(f"Redis at {place} {what}; waiting {self._patience_s:g} s for it")
        if now - self._redis_lost_at > self._patience_s:
            if not is_away(error):
                raise translated(error, place) from None
            raise RedisUnreachable(f"Redis at {place} did not answer for {self._patience_s:g} s ({error})")
        self._heartbeats_count_from = now + heartbeat.LIFETIME_S
        time.sleep(TICK_S)
