"""Which live workers can serve a run. Those that said that they cannot get no more of its jobs."""

from collections.abc import Callable
from typing import Any

Workers = dict[str, dict[str, Any]]
"""Status of the live workers by node name."""


class AbleWorkers:
    """The workers that can serve a run, as far as they have not said otherwise.

    Args:
        notice: receives lines for the user.

    Attributes:
        unable: the others, with the token of their process, which changes with a restart.
    """

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self.unable: dict[str, Any] = {}
        self._turn = 0

    def exclude(self, name: str, workers: Workers, reason: str) -> None:
        """Send no more jobs to a worker until it is restarted, and say so once."""
        token = workers.get(name, {}).get("token")
        if name not in self.unable or self.unable[name] != token:
            self._notice(f"{name} cannot serve this run and gets no more of its jobs: {reason}")
        self.unable[name] = token

    def serving(self, workers: Workers, queue: str) -> list[str]:
        """Return the names of able workers of a queue, idle ones first."""
        names = sorted(
            (status["task"] is not None, name)
            for name, status in workers.items()
            if queue in status["queues"] and not self._is_unable(name, status)
        )
        return [name for _, name in names]

    def target(self, workers: Workers, queue: str) -> str | None:
        """Return the worker that the next job of a queue goes to, in turn.

        It is None if all workers of the queue are able or none is: then the job goes into the queue.
        """
        able = sorted(self.serving(workers, queue))
        if not able or len(able) == sum(queue in status["queues"] for status in workers.values()):
            return None
        self._turn += 1
        return able[self._turn % len(able)]

    def another(self, workers: Workers, queue: str, name: str) -> str | None:
        """Return an able worker of the queue other than `name`, an idle one first."""
        return next((other for other in self.serving(workers, queue) if other != name), None)

    def _is_unable(self, name: str, status: dict[str, Any]) -> bool:
        return name in self.unable and self.unable[name] == status.get("token")
