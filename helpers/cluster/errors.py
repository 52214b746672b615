"""Errors between processes; those of Redis and Celery are translated into these.

ClusterError              the cluster could not finish; exit status 3
├── RedisUnreachable      Redis does not answer
├── RedisRefuses          Redis answers, but cannot serve
├── ServerNotFound        Redis does not run and is not installed
├── WorkerDied            a worker process ended unexpectedly
├── NameTaken             a live worker has this name
├── TaskFailed            a task of the run failed on every worker that tried it
├── RunTakenOver          another process trains the run now
├── NoWorkers             no live worker within the time allowed
└── QuorumMissed          too few clients replied in a round
"""


class WorkerUnable(Exception):
    """A worker can do no job of a run: its code, packages, images or settings do not fit."""


class ClusterError(Exception):
    """The cluster could not finish; the message says which part, why and what to do."""

    exit_status = 3


class RedisUnreachable(ClusterError):
    """Redis does not answer."""


class RedisRefuses(ClusterError):
    """Redis answers, but cannot serve: for example a cluster, a replica or a full disk."""


class ServerNotFound(ClusterError):
    """Redis does not run and is not installed."""


class WorkerDied(ClusterError):
    """A worker process ended unexpectedly."""


class NameTaken(ClusterError):
    """A live worker has this name."""


class TaskFailed(ClusterError):
    """A task of the run failed on every worker that tried it."""


class RunTakenOver(ClusterError):
    """Another process trains the run now."""


class NoWorkers(ClusterError):
    """No live worker within the time allowed."""


class QuorumMissed(ClusterError):
    """Too few clients replied in a round."""
