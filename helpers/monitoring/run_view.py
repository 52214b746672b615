"""View of a run from any machine: what Redis shows of its orchestrator, its workers and its feed."""

from typing import Any

from helpers.cluster.heartbeat import live_workers
from helpers.cluster.job_board import JobBoard
from helpers.cluster.living_runs import holder_of
from helpers.cluster.mailbox import OPEN_LETTERS, Envelopes
from helpers.cluster.run_feed import RunFeed
from helpers.cluster.worker_status import WorkerStatus
from helpers.monitoring.terminal import activity_of
from helpers.settings.outside_text import printable

MOST_WORKERS = 500
MOST_CHARACTERS = 200
"""Longest name of a worker or job; anyone with access to Redis may have written them."""


class RunView:
    """View of one run. Each look returns what is new in its feed since the last one.

    Args:
        client: connection to Redis.
        run: name of the run.
        envelopes: open its feed.
    """

    def __init__(self, client: Any, run: str, envelopes: Envelopes = OPEN_LETTERS) -> None:
        self._client = client
        self._run = run
        self._feed = RunFeed(client, run, envelopes)
        self._last = ""

    def look(self) -> dict[str, Any]:
        """Return the run as a JSON table.

        `state` is running, silent (no sign of the orchestrator for `silent_s`), ended or unknown. `open` is
        the number of clients whose training is not answered. `log` holds new entries of the feed.

        Raises:
            redis.RedisError: Redis cannot be reached.
        """
        holder = holder_of(self._client, self._run)
        log, last = self._feed.read(self._last)
        view: dict[str, Any] = {
            "run": self._run,
            "state": "unknown",
            "open": 0,
            "workers": self._workers(),
            "log": log,
        }
        if holder is not None and not holder.session:
            view["state"] = "ended"
        elif holder is not None:
            jobs = JobBoard(self._client, self._run, holder.session).open_jobs()
            view["open"] = sum(job.startswith("train:") for job in jobs)
            view["state"] = "running" if holder.is_alive else "silent"
            view["silent_s"] = round(holder.held_ago_s)
        self._last = last
        return view

    def _workers(self) -> list[dict[str, Any]]:
        workers = list(live_workers(self._client).items())[:MOST_WORKERS]
        return [{"name": _short(name), **self._task(status)} for name, status in workers]

    def _task(self, status: WorkerStatus) -> dict[str, Any]:
        """Return what a worker does: nothing while idle, only that it is busy if it works for another run."""
        task = status["task"]
        if task is None:
            return {}
        if task.get("run") != self._run:
            return {"job": "other", "activity": "another run"}
        job = {
            "job": _short(f"{task['job']}:{task['attempt']}"),
            "activity": _short(activity_of(task["job"])),
        }
        return job | {name: task[name] for name in ("batch", "batches") if name in task}


def _short(text: str) -> str:
    return printable(text)[:MOST_CHARACTERS]
