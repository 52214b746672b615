"""Time in a round, on Redis' clock; and whether a training should go on."""

import time

from celery_app import worker_session
from helpers.cluster.connection import redis_time
from helpers.federated.messages import RoundOrder, TrainOrder
from helpers.global_config import Config

RESERVE = 0.1
"""Part of the time left at the start that is kept for predicting and sending the update, …"""
LEAST_RESERVE_S = 2.0
"""… but at least so many seconds, unless that is more than half of it."""


class StoppedError(Exception):
    """A training ended early and its update is of no use."""


class RoundClock:
    """Seconds since a round was dispatched.

    Attributes:
        started_at: when this was made.
    """

    def __init__(self, order: RoundOrder) -> None:
        self.started_at = redis_time(worker_session().client) - order.sent_at
        self._made = time.monotonic()

    def now(self) -> float:
        """Seconds since the dispatch."""
        return self.started_at + time.monotonic() - self._made


class StopCondition:
    """Asked after every batch; shows the progress with the heartbeat and looks at the clock.

    Args:
        order: what is trained.
        clock: of its round.
        config: of the run.
        num_batches: steps of a whole training.
    """

    def __init__(self, order: TrainOrder, clock: RoundClock, config: Config, num_batches: int) -> None:
        self.num_batches = num_batches
        self._order = order
        self._clock = clock
        self._partial_counts = config.PARTIAL_UPDATES
        self._session = worker_session()
        time_left = config.ROUND_DEADLINE_S - clock.started_at
        reserve = min(time_left / 2, max(RESERVE * time_left, LEAST_RESERVE_S))
        self._stop_at = config.ROUND_DEADLINE_S - reserve
        self._closed = False

    def go_on(self, num_batches: int) -> bool:
        """Whether to train another batch after `num_batches`."""
        was_shown = self._session.heartbeat.tell_batch(num_batches, self.num_batches)
        if was_shown and not self._session.still_expects(self._order):
            self._closed = True
        return not self._closed and self._clock.now() < self._stop_at

    def check(self, num_batches: int) -> None:
        """Refuse the update of a training that ended after `num_batches` if it cannot count.

        Raises:
            StoppedError: the round was closed, or partial updates do not count.
        """
        if num_batches == self.num_batches:
            return
        if self._closed:
            raise StoppedError("the round was closed meanwhile")
        if not self._partial_counts:
            raise StoppedError(f"{num_batches} of {self.num_batches} batches until the deadline")
