"""Dispatch of a run of sites: only the site may answer, and each message is newer than the one before."""

import time
from dataclasses import replace
from typing import Any

from helpers.cluster.dispatch import Dispatcher
from helpers.cluster.jobs import Job
from helpers.cluster.mailbox import SiteBoard
from helpers.federated.messages import Order


class SiteDispatcher(Dispatcher):
    """Sends orders by name, each with a serial number and an end of validity."""

    shows_orders = False
    _serial = 0

    def job(self, order: Order, *arguments: Any) -> Job:
        assert isinstance(self._board, SiteBoard)  # made for a run of sites
        if sender := order.site or self._board.averaging:
            self._board.site_of[order.job] = sender
        return super().job(order, *arguments)

    def signature(self, order: Order, *arguments: Any) -> Any:
        self._serial = max(self._serial + 1, time.time_ns() // 1000)
        order = replace(order, serial=self._serial, expires_at=time.time() + self._deadline_s)
        return super().signature(order, *arguments)
