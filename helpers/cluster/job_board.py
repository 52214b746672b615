"""Job board in Redis: expected attempts and accepted answers, so that every job counts exactly once.

A *job* is one unit of work: a client's training in a round, an aggregation, the start or the end of the
run. It may be attempted more than once. The board holds the expected attempt and accepts only the first
answer of that attempt. Answers of an earlier attempt, another round or a replaced orchestrator are
refused.
"""

import json
from collections.abc import Iterable
from typing import Any

import redis

from helpers.cluster import keys
from helpers.cluster.errors import RunTakenOver

MOST_BYTES = 64 << 20
"""Largest entry of the board."""
MOST_CHARACTERS = 2000
"""Longest reason of a failure."""
MOST_EVENTS = 1000
"""Answers and failures that are taken note of at a time."""
LEASE_S = 10.0
"""An orchestrator that has not held its run for this long is dead, seconds."""
ENDED = b""
"""Stands for the session of a run that has ended."""

_ANSWER = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[2], ARGV[2]) ~= ARGV[3] then return 0 end
if redis.call('HSETNX', KEYS[3], ARGV[2], ARGV[4]) == 0 then return 0 end
redis.call('EXPIRE', KEYS[3], ARGV[5])
redis.call('RPUSH', KEYS[4], ARGV[2])
redis.call('EXPIRE', KEYS[4], ARGV[5])
return 1
"""

_FAIL = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return end
if redis.call('HGET', KEYS[2], ARGV[2]) ~= ARGV[3] then return end
if redis.call('HEXISTS', KEYS[3], ARGV[2]) == 1 then return end
redis.call('HSET', KEYS[4], ARGV[2], ARGV[4])
redis.call('EXPIRE', KEYS[4], ARGV[5])
redis.call('RPUSH', KEYS[5], ARGV[2])
redis.call('EXPIRE', KEYS[5], ARGV[5])
"""

_CLAIM = """
local owner = redis.call('GET', KEYS[1])
local held_ago = ARGV[2] * 1000 - redis.call('PTTL', KEYS[1])
if owner and owner ~= ARGV[4] and held_ago < ARGV[3] * 1000 then
  if held_ago >= 0 then return held_ago end
  redis.call('EXPIRE', KEYS[1], ARGV[2])  -- the clock was set back: count from now
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
"""

_HOLD = """
local owner = redis.call('GET', KEYS[1])
if not owner or owner == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
  for number = 2, #KEYS do redis.call('EXPIRE', KEYS[number], ARGV[2]) end
end
return owner
"""

_END = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) end
"""


class JobBoard:
    """Job board of one run and one orchestrator process (session).

    Args:
        client: connection to Redis.
        run: name of the run.
        session: id of the orchestrator process.

    Every method raises redis.RedisError when Redis cannot be reached.
    """

    def __init__(self, client: redis.Redis, run: str, session: str) -> None:
        self._client = client
        self._session = session
        self.identity = {"run": run, "session": session}
        self._session_key = keys.session(run)
        self._attempts = keys.of_session(run, session, "attempts")
        self._answers = keys.of_session(run, session, "answers")
        self._failures = keys.of_session(run, session, "failures")
        self._events = keys.of_session(run, session, "events")
        self._clock = keys.of_session(run, session, "clock")
        self._stop = keys.of_session(run, session, "stop")
        self._answer_script = client.register_script(_ANSWER)
        self._fail_script = client.register_script(_FAIL)
        self._end_script = client.register_script(_END)
        self._claim_script = client.register_script(_CLAIM)
        self._hold_script = client.register_script(_HOLD)

    # For the orchestrator

    def take_over(self, *, force: bool = False) -> float | None:
        """Make this session the owner of the run, unless the owner is alive and `force` is not set.

        An earlier session no longer has any effect, and what it left in Redis is deleted.

        Returns:
            None; or how long ago another session last held the run, seconds. Then nothing has changed.
        """
        earlier = list(self._client.scan_iter(keys.of_session(self.identity["run"], "*"), count=1000))
        if (held_ago := self._claim(force)) is not None:
            return held_ago
        if left := [key for key in earlier if key != self._session_key.encode()]:
            self._client.unlink(*left)
        return None

    def _claim(self, force: bool) -> float | None:
        """Do the part of `take_over` that is one command of Redis."""
        if force:
            self._client.set(self._session_key, self._session, ex=keys.LIFETIME_S)
            return None
        held_ago = self._claim_script(
            keys=[self._session_key], args=[self._session, keys.LIFETIME_S, LEASE_S, ENDED]
        )
        return None if held_ago is None else float(held_ago / 1000)

    def hold(self) -> bool:
        """Show that this session is alive; return False if Redis had lost it, so that it is claimed again.

        Raises:
            RunTakenOver: another session owns the run.
        """
        tables = [self._attempts, self._answers, self._failures]
        owner = self._hold_script(keys=[self._session_key, *tables], args=[self._session, keys.LIFETIME_S])
        if owner not in (None, self._session.encode()):
            raise RunTakenOver("another process took over this run")
        return owner is not None

    def expect(self, jobs: dict[str, int]) -> None:
        """Expect these attempts from now on: job -> attempt."""
        with self._client.pipeline() as pipe:
            pipe.expire(self._session_key, keys.LIFETIME_S)
            pipe.hset(self._attempts, mapping={job: str(attempt) for job, attempt in jobs.items()})
            pipe.expire(self._attempts, keys.LIFETIME_S)
            pipe.hdel(self._failures, *jobs)
            pipe.execute()

    def answers(self, jobs: list[str]) -> dict[str, Any]:
        """Return the accepted answers so far, by job; one that cannot be read becomes a failure."""
        answers = {}
        for job, value in self._entries(self._answers, jobs).items():
            try:
                answers[job] = _table(value)
            except ValueError as error:
                self._reject(job, str(error))
        return answers

    def failures(self, jobs: list[str]) -> dict[str, Any]:
        """Return the failures of the current attempts, by job: {worker, error, is_unable}."""
        return {job: _failure(value) for job, value in self._entries(self._failures, jobs).items()}

    def _entries(self, table: str, jobs: list[str]) -> dict[str, Any]:
        values = self._client.hmget(table, jobs) if jobs else []  # Redis refuses an empty list
        return {job: value for job, value in zip(jobs, values, strict=True) if value is not None}

    def _reject(self, job: str, reason: str) -> None:
        """Replace an answer by a failure, so that the job is tried again."""
        failure = {"worker": "?", "error": f"its answer cannot be read: {reason}"}
        with self._client.pipeline() as pipe:
            pipe.hdel(self._answers, job)
            pipe.hset(self._failures, job, json.dumps(failure))
            pipe.expire(self._failures, keys.LIFETIME_S)
            pipe.execute()

    def wait(self, seconds: float) -> list[str]:
        """Wait for answers and failures, at most `seconds`; return the jobs of those since the last call."""
        if not (event := self._client.blpop([self._events], timeout=seconds)):
            return []
        further: Any = self._client.lrange(self._events, 0, MOST_EVENTS - 1)
        if further:
            self._client.ltrim(self._events, len(further), -1)  # no other process takes from this list
        return [job.decode(errors="replace") for job in (event[1], *further)]

    def forget(self, jobs: Iterable[str]) -> None:
        """Drop finished jobs; later answers to them are refused."""
        with self._client.pipeline() as pipe:
            for key in (self._attempts, self._answers, self._failures):
                pipe.hdel(key, *jobs)
            pipe.execute()

    def close(self) -> None:
        """Delete the board when the session has ended; an earlier one that wakes does not claim the run."""
        self._end_script(keys=[self._session_key], args=[self._session, ENDED, keys.LIFETIME_S])
        parts = (self._attempts, self._answers, self._failures, self._events, self._clock, self._stop)
        self._client.delete(*parts)

    def is_asked_to_stop(self) -> bool:
        """Return whether `ask_to_stop` was called."""
        return bool(self._client.exists(self._stop))

    # For people who watch the run

    def open_jobs(self) -> list[str]:
        """Return the jobs that are expected and not answered."""
        with self._client.pipeline() as pipe:
            pipe.hkeys(self._attempts)
            pipe.hkeys(self._answers)
            expected, answered = pipe.execute()
        return [job.decode(errors="replace") for job in set(expected) - set(answered)]

    def ask_to_stop(self) -> None:
        """Ask the orchestrator to end the run after its round."""
        self._client.set(self._stop, 1, ex=keys.LIFETIME_S)

    # For workers

    def expects(self, job: str, attempt: int) -> bool:
        """Return whether an answer to this attempt would be accepted."""
        with self._client.pipeline() as pipe:
            pipe.get(self._session_key)
            pipe.hget(self._attempts, job)
            pipe.hexists(self._answers, job)
            session, expected, answered = pipe.execute()
        return session == self._session.encode() and expected == str(attempt).encode() and not answered

    def answer(self, job: str, attempt: int, message: dict[str, Any]) -> bool:
        """Store the answer of an attempt; return whether it was accepted."""
        accepted = self._answer_script(
            keys=[self._session_key, self._attempts, self._answers, self._events],
            args=[self._session, job, attempt, json.dumps(message), keys.LIFETIME_S],
        )
        return bool(accepted)

    def fail(self, job: str, attempt: int, worker: str, error: str, *, is_unable: bool = False) -> None:
        """Report that an attempt failed, or that its worker is unable; the orchestrator decides."""
        failure = {"worker": worker, "error": error, "is_unable": is_unable}
        self._fail_script(
            keys=[self._session_key, self._attempts, self._answers, self._failures, self._events],
            args=[self._session, job, attempt, json.dumps(failure), keys.LIFETIME_S],
        )


def _table(value: bytes | str) -> dict[str, Any]:
    """Return an entry of the board.

    Raises:
        ValueError: it is not a JSON table of bounded size; the text is the reason.
    """
    if len(value) > MOST_BYTES:
        raise ValueError(f"it has {len(value) >> 20} MiB")
    try:
        table = json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(table, dict):
        raise ValueError("it is not a table")
    return table


def _failure(value: bytes | str) -> dict[str, Any]:
    try:
        failure = _table(value)
    except ValueError as error:
        failure = {"error": f"the report of its failure cannot be read: {error}"}
    texts = {name: str(failure.get(name, "?"))[:MOST_CHARACTERS] for name in ("worker", "error")}
    return failure | texts
