"""Orders that a member of a deployment has served: none runs twice, and none after its time."""

import sqlite3
import time
from pathlib import Path

from helpers.federated.messages import Order
from helpers.sites.policy import OrderRefused

FILE = "served.sqlite"
NEWER = """
INSERT INTO served VALUES (?, ?)
ON CONFLICT (run) DO UPDATE SET serial = excluded.serial WHERE excluded.serial > serial
"""


class ServedOrders:
    """The largest serial number served of each run, in a file that all workers of the member share.

    Args:
        folder: of the member's own files.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / FILE

    def check(self, order: Order) -> None:
        """Count an order as served, if it may be.

        Raises:
            OrderRefused: it is late, or not newer than those served.
        """
        late_s = time.time() - order.expires_at
        if late_s > 0:
            raise OrderRefused(
                f"the order expired {late_s:.0f} s ago by the clock of this machine; if it was just sent, "
                "set the clocks of both machines right"
            )
        with sqlite3.connect(self._file, timeout=60) as database:
            database.execute("CREATE TABLE IF NOT EXISTS served (run TEXT PRIMARY KEY, serial INTEGER)")
            is_newer = database.execute(NEWER, (order.run, order.serial)).rowcount == 1
        database.close()
        if not is_newer:
            raise OrderRefused(
                f"its serial {order.serial} is not newer than those served: it is a replay, or the clock of "
                "the coordinator was set back"
            )
