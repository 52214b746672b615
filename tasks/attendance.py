"""Whether a training should go on: its round is open, its deadline not near."""

import time

from celery_app import worker_session
from helpers.cluster.connection import redis_time
from helpers.federated.messages import TrainOrder
from helpers.global_config import Config

RESERVE = 0.1
"""Part of the time left at the start that is kept for predicting and sending the update."""


class StoppedError(Exception):
    """A training ended early and its update is of no use."""


class Attendance:
    """Asked after every batch; shows the progress with the heartbeat and looks at the clock.

    Args:
        order: what is trained.
        config: of the run.
        num_batches: steps of a whole training.
    """

    def __init__(self, order: TrainOrder, config: Config, num_batches: int) -> None:
        self.num_batches = num_batches
        self._order = order
        self._partial_counts = config.PARTIAL_UPDATES
        self._session = worker_session()
        seconds_left = order.sent_at + config.ROUND_DEADLINE_S - redis_time(self._session.client)
        self._stop_at = time.monotonic() + (1 - RESERVE) * seconds_left
        self._closed = False

    def go_on(self, num_batches: int) -> bool:
        """Whether to train another batch after `num_batches`."""
        was_shown = self._session.heartbeat.tell_batch(num_batches, self.num_batches)
        if was_shown and not self._session.still_expects(self._order):
            self._closed = True
        return not self._closed and time.monotonic() < self._stop_at

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
