"""What can go wrong between processes; errors of Redis and Celery are translated into these.

ClusterError              the cluster could not finish; exit status 3
├── RedisUnreachable      Redis does not answer
├── ServerNotFound        no Redis runs and none is installed that could be started
├── WorkerDied            a worker process ended before it was told to
├── NameTaken             a live worker has this name
├── TaskFailed            a task of the run failed on every worker that tried it
├── NoWorkers             no live worker within the time allowed
└── QuorumMissed          too few clients replied in a round
"""


class ClusterError(Exception):
    """The cluster could not do its part; the message says which part, why and what to do."""

    exit_status = 3


class RedisUnreachable(ClusterError):
    """Redis does not answer."""


class ServerNotFound(ClusterError):
    """No Redis runs, and none is installed that could be started."""


class WorkerDied(ClusterError):
    """A worker process ended before it was told to."""


class NameTaken(ClusterError):
    """A live worker has this name."""


class TaskFailed(ClusterError):
    """A task of the run failed on every worker that tried it."""


class NoWorkers(ClusterError):
    """No live worker within the time allowed."""


class QuorumMissed(ClusterError):
    """Too few clients replied in a round."""
