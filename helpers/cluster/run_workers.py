"""The live workers of a run. Those that said that they cannot serve it get no more of its jobs."""

from collections.abc import Callable

import redis

from helpers.cluster.heartbeat import live_workers
from helpers.cluster.keys import SITE_QUEUE
from helpers.cluster.mailbox import SiteBoard
from helpers.cluster.worker_status import Workers, WorkerStatus


class RunWorkers:
    """The live workers, as their heartbeats show them.

    Args:
        client: connection to Redis.
        notice: receives lines for the user.

    Attributes:
        unable: why a worker cannot serve the run, by the token of its process: a restarted one may be able.
    """

    def __init__(self, client: redis.Redis, notice: Callable[[str], None]) -> None:
        self._client = client
        self._notice = notice
        self.unable: dict[str, str] = {}
        self._live: Workers = {}
        self._unreadable: set[str] = set()  # names whose heartbeat cannot be read
        self._turn = 0
        self._differ = False  # whether a notice said that workers differ

    def look(self) -> Workers:
        """Return the status of the live workers, without those that cannot serve the run."""
        known, self._live = self._live, live_workers(self._client, self._notice_unreadable)
        if self._live.keys() - known.keys() and not self._differ:
            self._compare_bits()
        return self.able() if self.unable else self._live

    def able(self) -> Workers:
        """Return the status of the workers, at the last look, that have not said that they are unable."""
        return {name: status for name, status in self._live.items() if status["token"] not in self.unable}

    def _compare_bits(self) -> None:
        """Warn once if workers differ in what decides bits; those of sites always train the same client."""
        names: dict[tuple[str, str], list[str]] = {}
        for name, status in sorted(self.able().items()):
            for fact in () if status.get("site") else (status.get("bits") or {}).items():
                names.setdefault(fact, []).append(name)
        facts = [fact for fact, _ in names]
        parts = [
            f"{fact} {value} on {', '.join(workers)}"
            for (fact, value), workers in sorted(names.items())
            if facts.count(fact) > 1
        ]
        if parts:
            self._differ = True
            self._notice(
                f"last digits depend on who trains which client, as workers differ: {'; '.join(parts)}"
            )

    def _notice_unreadable(self, name: str, reason: str) -> None:
        """Say once that a heartbeat is ignored."""
        if name not in self._unreadable:
            self._unreadable.add(name)
            self._notice(f"the heartbeat of {name} is ignored: {reason}")

    def exclude(self, name: str, reason: str) -> None:
        """Send no more jobs to a worker until it is restarted, and say so once."""
        if name in self.able():
            self.unable[self._live[name]["token"]] = reason
            self._notice(f"{name} cannot serve this run and gets no more of its jobs: {reason}")

    def target(self, queue: str) -> str | None:
        """Return the able worker that the next job of a queue is sent to, in turn; None without one."""
        names = self.serving(queue)
        self._turn += 1
        return names[self._turn % len(names)] if names else None

    def serving(self, queue: str) -> list[str]:
        """Return the names of the able workers of a queue, idle ones first."""
        names = ((status["task"] is not None, name) for name, status in self.able().items()
                 if queue in status["queues"])  # fmt: skip
        return [name for _, name in sorted(names)]

    def reasons(self) -> str:
        """Return why the live workers cannot serve the run; empty without live workers or if one can."""
        return "" if self.able() else "; ".join(self.unable[each["token"]] for each in self._live.values())


class SiteWorkers(RunWorkers):
    """The live workers of a run of sites, without those of strangers and those that speak for other sites.

    Args:
        client, notice: as for `RunWorkers`.
        board: of the run.
    """

    def __init__(self, client: redis.Redis, notice: Callable[[str], None], board: SiteBoard) -> None:
        super().__init__(client, notice)
        self._board = board

    def look(self) -> Workers:
        super().look()
        for name, status in list(self._live.items()):
            if reason := self._why_ignored(name, status):
                self._notice_unreadable(name, reason)
                del self._live[name]
        return self.able()

    def _why_ignored(self, name: str, status: WorkerStatus) -> str:
        """Return why a heartbeat does not count; empty if it does."""
        site = name.rpartition("/")[0]
        if site and not self._board.has_member(site):
            return f"{site} is not in the members.json of this deployment, as it was when this run started"
        if not self._is_own(name, status):
            return "it speaks for others than the site that its name begins with"
        return ""

    def _is_own(self, name: str, status: WorkerStatus) -> bool:
        """Return whether a status is about the site with which the worker's name begins, if with any.

        Redis lets a site write only under such names.
        """
        owner, task = name.rpartition("/")[0], status["task"]
        if (status.get("site") or {}).get("name", "") != owner:
            return False
        if not owner:
            return True
        is_of_run = task is not None and task.get("run") == self._board.identity["run"]
        jobs = [task["job"]] if task and is_of_run else []
        is_own_job = all(self._board.site_of.get(job, owner) == owner for job in jobs)
        return is_own_job and status["queues"] == [SITE_QUEUE + owner]
