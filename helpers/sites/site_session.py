"""The session of a site's worker: it checks every order by the site's own rules and records each decision."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.cluster.job_board import JobBoard
from helpers.cluster.mailbox import Mailbox
from helpers.cluster.worker_session import AnyOrder, WorkerSession
from helpers.federated.messages import MessageError, Order
from helpers.global_config import Config
from helpers.sites.audit import AuditLog, CountingStore, settings_digest

DONE = "done"


class OrderRefused(Exception):
    """An order that the site does not allow; the text says which rule and what the owner can do."""


class SiteSession(WorkerSession):
    """A worker session of a site.

    Args:
        name: the worker's node name.
        config: settings of this machine.
        site: description of the site for the heartbeat.
    """

    def __init__(self, name: str, config: Config, site: dict[str, Any]) -> None:
        url = config.REDIS_URL.get_secret_value()
        name = f"{config.SITE}/{name}"  # so that a site's key of its heartbeat begins with its name
        super().__init__(name, url, config.THREADS, config.WEIGHT_STORE, site, config.GPU)
        self.open_board = functools.partial(Mailbox, site=self.site)
        self.folder = own_folder(config)
        self.audit = AuditLog(self.folder)
        self.store: CountingStore = CountingStore(self.store)

    def run_order(
        self, kind: type[AnyOrder], message: Any, do: Callable[[AnyOrder], dict[str, Any]]
    ) -> dict[str, Any] | None:
        """Run an order as `WorkerSession.run_order`, if `check` allows it."""

        def do_if_allowed(order: AnyOrder) -> dict[str, Any]:
            self.check(order)
            self.store.bytes_out = 0
            answer = do(order)
            self.record(order, DONE, self.store.bytes_out + len(json.dumps(answer)))
            return answer

        return super().run_order(kind, message, do_if_allowed)

    def check(self, order: Order) -> None:
        """Refuse an order that the site does not allow.

        Raises:
            OrderRefused: naming the rule.
        """

    def record(self, order: Order, decision: str, bytes_out: int = 0) -> None:
        """Record in the audit log what became of an order, before its answer leaves."""
        self.audit.append(
            {
                "sender": order.origin, "run": order.run, "job": order.job, "attempt": order.attempt,
                "settings": settings_digest(order), "decision": decision, "bytes_out": bytes_out,
            }
        )  # fmt: skip

    def _fail(self, board: JobBoard, order: Order, error: Exception) -> None:
        self.record(order, f"refused: {error}" if isinstance(error, OrderRefused) else f"failed: {error}")
        super()._fail(board, order, error)

    def _refuse(self, message: Any, error: MessageError) -> None:
        self.audit.append({"decision": f"refused: not understood: {error}"})
        super()._refuse(message, error)


def own_folder(config: Config) -> Path:
    """Return the folder of a site's own files: policy, approvals and audit log."""
    return config.SITE_DIR / config.SITE
