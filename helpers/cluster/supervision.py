"""Jobs until they are answered: lost ones and failed ones are sent again, nothing waits for ever."""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import redis

from helpers.cluster import heartbeat
from helpers.cluster.connection import address
from helpers.cluster.errors import NoWorkers, RedisUnreachable
from helpers.cluster.job_board import JobBoard
from helpers.cluster.jobs import Deadline, Job

TICK_S = 1.0
"""Longest time between two looks at the workers, seconds; an answer wakes the orchestrator at once."""
PICK_UP_S = 10.0
"""A job that is in no queue and on no worker for so long is lost, seconds."""

MOST_LOSSES = 5
"""A job that was lost more often is given up: something takes the messages and does nothing."""

Answer = TypeVar("Answer")
Workers = dict[str, dict[str, Any]]


class Supervisor:
    """Watches over jobs on a board.

    Args:
        client: connection to Redis.
        board: the run's board.
        patience_s: how long to go on without a live worker, or without Redis, seconds.
        notice: told in words what a person should know.
    """

    def __init__(
        self,
        client: redis.Redis,
        board: JobBoard,
        patience_s: float,
        notice: Callable[[str], None],
    ) -> None:
        self._client = client
        self._board = board
        self._patience_s = patience_s
        self.notice = notice
        self._alone_since: float | None = None
        self._redis_lost_at: float | None = None
        self._heartbeats_count_from = 0.0
        self._busy_at = 0.0  # when a worker was last seen at work
        self._unserved_since: dict[str, float] = {}  # when a site's queue was first seen without a worker

    def supervise(
        self,
        jobs: Sequence[Job],
        on_failure: Callable[[Job, str], None],
        tell: Callable[[dict[str, Any], Workers], None] = lambda answers, workers: None,
        deadline: Deadline | None = None,
    ) -> dict[str, Any]:
        """Wait until every job is answered.

        Args:
            jobs: jobs whose current attempt has been sent.
            on_failure: called with a job that went wrong twice and why; answers it or raises.
            tell: called at every look with the answers so far and the live workers.
            deadline: when not to wait longer, and what to do then with a job without an answer.

        Returns:
            The answers by job name.

        Raises:
            NoWorkers: no live worker for `patience_s`.
            RedisUnreachable: Redis stayed away for `patience_s`.
        """
        answers: dict[str, Any] = {}
        while True:
            try:
                workers = self._look()  # before the answers: see _is_lost
                answers |= self._board.answers([job.name for job in jobs if job.name not in answers])
                tell(answers, workers)
                if len(answers) == len(jobs):
                    return answers
                open_jobs = [job for job in jobs if job.name not in answers]
                if deadline is not None and time.monotonic() >= deadline.at:
                    for job in open_jobs:
                        deadline.close(job)
                    continue
                self._check_for_workers(workers)
                self._mend(open_jobs, workers, on_failure)
                self._board.wait(TICK_S if deadline is None else deadline.seconds_left(TICK_S))
                self._redis_lost_at = None
            except (redis.ConnectionError, redis.TimeoutError) as error:
                self._sit_out(error)

    def wait_for_workers(self, lacking: Callable[[Workers], str] = lambda workers: "") -> Workers:
        """Wait until there are the live workers needed, at least one; returns what all of them show.

        Args:
            lacking: says in words what is still lacking among these; empty where nothing is.

        Raises:
            NoWorkers, RedisUnreachable: as `supervise`; NoWorkers also if something is lacking for so long.
        """
        began: float | None = None
        while True:
            workers = self.retry_redis(self._look)
            self._check_for_workers(workers)
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
        """Ask something of Redis, waiting for it as long as `supervise` does.

        Raises:
            RedisUnreachable: Redis stayed away.
        """
        while True:
            try:
                answer = ask()
                self._redis_lost_at = None
                return answer
            except (redis.ConnectionError, redis.TimeoutError) as error:
                self._sit_out(error)

    def _look(self) -> Workers:
        """What the live workers show."""
        workers = heartbeat.live_workers(self._client)
        served = {queue for status in workers.values() for queue in status["queues"]}
        for queue in served & self._unserved_since.keys():
            del self._unserved_since[queue]
        return workers

    def _mend(self, jobs: list[Job], workers: Workers, on_failure: Callable[[Job, str], None]) -> None:
        failures = self._board.failures([job.name for job in jobs]) if jobs else {}
        waiting = {queue for queue in {job.queue for job in jobs} if self._client.llen(queue)}
        now = time.monotonic()
        if any(status["task"] is not None for status in workers.values()):
            self._busy_at = now
        for job in jobs:
            if job.queue in waiting:
                job.queued_at = now
            failure = failures.get(job.name)
            if failure is not None:
                job.failed += 1
                if job.failed > 1:
                    on_failure(job, failure["error"])
                else:
                    self.notice(f"{job.name} failed on {failure['worker']}: {failure['error']}")
                    self.send_again(job, _another(workers, job.queue, failure["worker"]))
            elif self._has_left(job, workers):
                on_failure(job, f"site {job.site} has had no live worker for {self._patience_s:g} s")
            elif self._is_lost(job, workers):
                where = f" on {job.runner}, which died" if job.runner else ""
                job.lost += 1
                if job.lost > MOST_LOSSES:
                    on_failure(job, f"lost {job.lost} times: no worker keeps it")
                else:
                    self.notice(f"{job.name} was lost{where}; it is sent again")
                    self.send_again(job)
            else:
                self._tell_if_nobody_takes(job, workers)

    def send_again(self, job: Job, target: str | None = None) -> None:
        """Send the next attempt of a job; answers of earlier ones are refused from now on."""
        job.attempt += 1
        job.target, job.runner, job.sent_at = target, None, time.monotonic()
        self._board.expect({job.name: job.attempt})
        job.send(job.attempt, target)

    def _is_lost(self, job: Job, workers: Workers) -> bool:
        """Whether nobody works on the job and nobody will.

        A worker gives its answer before it stops showing the task, and `workers` was read before
        the answers: so a job without an answer that its runner no longer shows was dropped.
        """
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
        # Who takes a job out of the queue needs a moment to show it.
        return now - max(job.sent_at, job.queued_at) >= PICK_UP_S

    def _has_left(self, job: Job, workers: Workers) -> bool:
        """Whether the one site that can do a job has been without a live worker for too long.

        That counts from one job to the next: who has left in a training is not waited for again to score.
        """
        now = time.monotonic()
        is_served = any(job.queue in status["queues"] for status in workers.values())
        if not job.site or is_served or now < self._heartbeats_count_from:
            return False
        if job.queue not in self._unserved_since:
            self._unserved_since[job.queue] = now
            self.notice(
                f"{job.name}: site {job.site} has no live worker; waiting {self._patience_s:g} s for one"
            )
        return now - self._unserved_since[job.queue] > self._patience_s

    def _tell_if_nobody_takes(self, job: Job, workers: Workers) -> None:
        """Say once that a job stays in its queue although no worker has had anything to do for a while."""
        has_waited = time.monotonic() - max(job.sent_at, self._busy_at) >= PICK_UP_S
        if workers and job.runner is None and has_waited and not (job.was_waited_for or job.site):
            job.was_waited_for = True
            self.notice(
                f"{job.name} waits in the queue {job.queue} and no worker takes it: "
                "start one without -Q, or one that serves that queue"
            )

    def _check_for_workers(self, workers: Workers) -> None:
        now = time.monotonic()
        if workers or now < self._heartbeats_count_from:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
            self.notice(f"no live worker: {HOW_TO_START}. Waiting {self._patience_s:g} s for one")
        elif now - self._alone_since > self._patience_s:
            raise NoWorkers(f"no live worker for {self._patience_s:g} s: {HOW_TO_START}")

    def _sit_out(self, error: Exception) -> None:
        """Redis is away: wait for it, and give the workers time to show themselves again."""
        now = time.monotonic()
        if self._redis_lost_at is None:
            self._redis_lost_at = now
            self.notice(
                f"Redis at {address(self._client)} does not answer; waiting {self._patience_s:g} s for it"
            )
        if now - self._redis_lost_at > self._patience_s:
            raise RedisUnreachable(
                f"Redis at {address(self._client)} stayed away for {self._patience_s:g} s ({error})"
            )
        self._heartbeats_count_from = now + heartbeat.LIFETIME_S
        time.sleep(TICK_S)


HOW_TO_START = (
    "start workers with `python run.py up --workers 3`, or each in its terminal with "
    "`celery --app=celery_app worker --pool=solo --loglevel=info --hostname=worker1@%h`"
)


def _another(workers: Workers, queue: str, name: str) -> str | None:
    """A live worker of the queue other than `name`, an idle one first."""
    others = sorted(
        (status["task"] is not None, other) for other, status in workers.items() if queue in status["queues"]
    )
    return next((other for _, other in others if other != name), None)
