"""Orders that a site has served: none runs twice, and none after its time."""

import sqlite3
import time
from pathlib import Path

from helpers.federated.messages import Order
from helpers.federated.sites.messages import SiteOrder

FILE = "served.sqlite"
NEWER = """
INSERT INTO served VALUES (?, ?)
ON CONFLICT (run) DO UPDATE SET serial = excluded.serial WHERE excluded.serial > serial
"""


class ServedOrders:
    """The largest serial number served of each run, in a file that all workers of the site share.

    Args:
        folder: of the site's own files.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / FILE

    def why_refused(self, order: Order) -> str:
        """Return why an order must not be served; empty if it may, which then counts as served."""
        if not isinstance(order, SiteOrder):
            return "it has no serial number"
        late_s = time.time() - order.expires_at
        if late_s > 0:
            return (
                f"the order expired {late_s:.0f} s ago by the clock of this machine; if it was just sent, "
                "set the clocks of both machines right"
            )
        with sqlite3.connect(self._file, timeout=60) as database:
            database.execute("CREATE TABLE IF NOT EXISTS served (run TEXT PRIMARY KEY, serial INTEGER)")
            is_newer = database.execute(NEWER, (order.run, order.serial)).rowcount == 1
        database.close()
        if is_newer:
            return ""
        return (
            f"its serial {order.serial} is not newer than those served: it is a replay, or the clock of the "
            "coordinator was set back"
        )
