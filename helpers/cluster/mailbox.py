"""Replies of sites: each site writes to a mailbox of its own, and the orchestrator keeps what counts.

So a site needs to read no other site's replies, and no write access to the job board. The text of a letter
is JSON: {site, run, session, job, attempt, answer}, or with `failure` in place of `answer`. In a deployment
letters are signed and sealed, and the worker that averages sends some, too.
"""

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

import redis

from helpers.cluster import keys
from helpers.cluster.job_board import MOST_BYTES, MOST_CHARACTERS, JobBoard

MOST_LETTERS = 64
"""Letters of a site that are opened at one look; an honest site has one or two."""


class Envelopes(Protocol):
    """How letters are closed and opened."""

    @property
    def averaging(self) -> str:
        """Who sends the answers to jobs without a site; empty where these are not mailed."""

    def has_member(self, site: str) -> bool:
        """Return whether letters of a site can be opened."""

    def verify(self, name: str, data: bytes, signature: str) -> bool:
        """Return whether a signature of bytes is that of a member; True where members have no keys."""

    def close_letter(self, mailbox: str, text: bytes) -> bytes:
        """Return the letter with a text, for a mailbox of this member."""

    def open_letter(self, mailbox: str, letter: bytes) -> bytes:
        """Return the text of a letter.

        Raises:
            ValueError: it is not from the member whose mailbox this is.
        """


class OpenLetters:
    """Letters without a signature that everybody can read, for sites without keys."""

    averaging = ""

    def has_member(self, site: str) -> bool:
        return True

    def verify(self, name: str, data: bytes, signature: str) -> bool:
        return True

    def close_letter(self, mailbox: str, text: bytes) -> bytes:
        return text

    def open_letter(self, mailbox: str, letter: bytes) -> bytes:
        return letter


OPEN_LETTERS = OpenLetters()


class Mailbox(JobBoard):
    """The job board as a site sees it: it reads what is expected, and mails what it answers.

    Args:
        client, run, session: as for `JobBoard`.
        site: name of the sender.
        envelopes: close its letters.
    """

    def __init__(
        self,
        client: redis.Redis,
        run: str,
        session: str,
        *,
        site: str,
        envelopes: Envelopes = OPEN_LETTERS,
    ) -> None:
        super().__init__(client, run, session)
        self._site = site
        self._envelopes = envelopes
        self._mail = keys.of_session(run, session, "mail", site=site)

    def expects(self, job: str, attempt: int) -> bool:
        with self._client.pipeline() as pipe:
            pipe.get(self._session_key)
            pipe.hget(self._attempts, job)
            session, expected = pipe.execute()
        return (session, expected) == (self._session.encode(), str(attempt).encode())

    def answer(self, job: str, attempt: int, message: dict[str, Any]) -> bool:
        """Mail the answer of an attempt; return whether it was still expected."""
        return self._send(job, attempt, answer=message)

    def fail(self, job: str, attempt: int, worker: str, error: str, *, is_unable: bool = False) -> None:
        failure = {"worker": worker, "error": error, "is_unable": is_unable}
        self._send(job, attempt, failure=failure)

    def _send(self, job: str, attempt: int, **content: Any) -> bool:
        if not self.expects(job, attempt):
            return False
        facts = {"site": self._site, **self.identity, "job": job, "attempt": attempt}
        letter = self._envelopes.close_letter(self._mail, json.dumps(facts | content).encode())
        with self._client.pipeline() as pipe:
            pipe.rpush(self._mail, letter)
            pipe.expire(self._mail, keys.LIFETIME_S)
            pipe.execute()
        return True


class SiteBoard(JobBoard):
    """The job board of a run of sites. It opens their mail, and holds answers and failures in memory.

    Args:
        client, run, session: as for `JobBoard`.
        notice: receives a line about each letter that does not count.
        envelopes: open the letters.

    Attributes:
        averaging, has_member, verify: as in `Envelopes`.
        site_of: the sender of each job that is answered by mail.
    """

    def __init__(
        self,
        client: redis.Redis,
        run: str,
        session: str,
        *,
        notice: Callable[[str], None],
        envelopes: Envelopes = OPEN_LETTERS,
    ) -> None:
        super().__init__(client, run, session)
        self.site_of: dict[str, str] = {}
        self.averaging, self.has_member = envelopes.averaging, envelopes.has_member
        self.verify = envelopes.verify
        self._expected: dict[str, int] = {}
        self._accepted: dict[str, Any] = {}
        self._failed: dict[str, dict[str, Any]] = {}
        self._notice = notice
        self._envelopes = envelopes

    def take_over(self, *, force: bool = False) -> float | None:
        left_by_sites = keys.of_session(self.identity["run"], "*", site="*")
        earlier = list(self._client.scan_iter(left_by_sites, count=1000))
        held_ago = super().take_over(force=force)
        if held_ago is None and earlier:
            self._client.unlink(*earlier)
        return held_ago

    def answers(self, jobs: list[str]) -> dict[str, Any]:
        for site in self._sites():
            letters = self._taken(partial(self._client.lpop, self._mail_of(site), MOST_LETTERS))
            for letter in letters or ():
                self._open(site, letter)
        by_mail = {job: self._accepted[job] for job in jobs if job in self._accepted}
        others = [job for job in jobs if job not in self.site_of]
        return by_mail | super().answers(others)

    def failures(self, jobs: list[str]) -> dict[str, Any]:
        by_mail = {job: self._failed[job] for job in jobs if job in self._failed}
        others = [job for job in jobs if job not in self.site_of]
        return by_mail | super().failures(others)

    def expect(self, jobs: dict[str, int]) -> None:
        self._expected |= jobs
        for job in jobs:
            self._failed.pop(job, None)
        super().expect(jobs)

    def answer(self, job: str, attempt: int, message: dict[str, Any]) -> bool:
        if not self._awaits(job, attempt):
            return False
        self._accepted[job] = message
        self._client.hdel(self._attempts, job)  # so that the site stops
        return True

    def wait(self, seconds: float) -> list[str]:
        """Wait for an answer, a failure or a letter, at most `seconds`; return the jobs it may be about."""
        mail = {self._mail_of(site).encode(): site for site in self._sites()}
        event = self._taken(partial(self._client.blpop, [self._events, *mail], timeout=seconds))
        if event and event[0] in mail:
            self._open(mail[event[0]], event[1])
        return list(self._expected) if event else []

    def forget(self, jobs: Iterable[str]) -> None:
        jobs = list(jobs)
        super().forget(jobs)
        for job in jobs:
            for by_job in (self.site_of, self._expected, self._accepted, self._failed):
                by_job.pop(job, None)

    def close(self) -> None:
        super().close()
        left = keys.of_session(*self.identity.values(), "mail", site="*")
        if mail := list(self._client.scan_iter(left, count=1000)):
            self._client.unlink(*mail)

    def _awaits(self, job: str, attempt: Any) -> bool:
        """Return whether an answer to this attempt would be accepted."""
        return self._expected.get(job) == attempt and job not in self._accepted

    def _taken(self, take: Callable[[], Any]) -> Any:
        """Return what `take` gets from mailboxes; None if a site has made its own something else."""
        try:
            return take()
        except redis.ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
        for site in self._sites():
            if self._client.type(mail := self._mail_of(site)) not in (b"list", b"none"):
                self._client.unlink(mail)
                self._notice(f"site {site}: its mailbox was no list; what it was is deleted")
        return None

    def _sites(self) -> list[str]:
        return sorted(set(self.site_of.values()))

    def _mail_of(self, site: str) -> str:
        return keys.of_session(*self.identity.values(), "mail", site=site)

    def _open(self, site: str, letter: Any) -> None:
        """Take a letter's content as answer or failure, or report why it does not count."""
        try:
            content = self._read(site, letter)
            job, attempt = str(content["job"]), content["attempt"]
            if self.site_of.get(job) != site:
                raise ValueError(f"it is about {job[:100]}")
            if "answer" in content:
                self.answer(job, attempt, dict(content["answer"]))
            else:
                failure = content["failure"]
                worker, is_unable = str(failure["worker"]), failure["is_unable"] is True
                if worker.rpartition("/")[0] != ("" if site == self.averaging else site):
                    raise ValueError(f"it is about the worker {worker[:100]}")
                if self._awaits(job, attempt):
                    error = str(failure["error"])[:MOST_CHARACTERS]
                    self._failed[job] = {"worker": worker, "error": error, "is_unable": is_unable}
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            self._notice(f"site {site}: a reply does not count: {type(error).__name__}: {str(error)[:300]}")

    def _read(self, site: str, letter: bytes) -> dict[str, Any]:
        """Return the content of a letter; ValueError, LookupError or TypeError if it is not the site's."""
        if len(letter) > MOST_BYTES:
            raise ValueError(f"it has {len(letter) >> 20} MiB")
        content: dict[str, Any] = json.loads(self._envelopes.open_letter(self._mail_of(site), letter))
        if (content["site"], content["run"], content["session"]) != (site, *self.identity.values()):
            raise ValueError("it belongs to another site or run")
        return content
