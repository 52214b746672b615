"""The session of a site's worker: it checks every order by the site's own rules and records each decision."""

import json
import logging
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from helpers.cluster import keys
from helpers.cluster.job_board import JobBoard
from helpers.cluster.mailbox import Mailbox
from helpers.cluster.worker_session import AnyOrder, WorkerSession
from helpers.federated.messages import MessageError, Order
from helpers.federated.sites.secure_messages import STEPS
from helpers.global_config import Config
from helpers.sites.approvals import Approvals
from helpers.sites.audit import DONE, FAILED, REFUSED, AuditLog, CountingStore, settings_digest
from helpers.sites.deployment import open_deployment
from helpers.sites.policy import FILE, OrderRefused, Policy
from helpers.sites.privacy_account import PrivacyAccount
from helpers.sites.served_orders import ServedOrders
from helpers.weight_store.redis_store import RedisStore
from helpers.weight_store.store import WeightStore

HOUR = timedelta(hours=1)
LEAVE = "leave"
"""File in the site's folder that asks its workers to end."""

logger = logging.getLogger(__name__)


class SiteLeft(Exception):
    """An order that was not finished, because the site leaves."""


class SiteSession(WorkerSession):
    """A worker session of a site.

    Args:
        name: the worker's node name.
        config: settings of this machine.
        site: description of the site for the heartbeat.

    Raises:
        ConfigError: the site's policy or the folder of weights cannot be used.
    """

    def __init__(self, name: str, config: Config, site: dict[str, Any]) -> None:
        url = config.REDIS_URL.get_secret_value()
        name = f"{config.SITE}/{name}"  # so that a site's key of its heartbeat begins with its name
        super().__init__(name, url, config.THREADS, config.WEIGHT_STORE, site, config.GPU)
        self.open_board = partial(Mailbox, site=self.site)
        store: WeightStore = self.store_of_sites
        folder = own_folder(config)
        if config.DEPLOYMENT:
            deployment = open_deployment(config)
            self.open_board = deployment.open_board
            store = deployment.sealed(RedisStore(self.client, may_renew=False))
            self.check_is_new = ServedOrders(folder).check
        self.policy = Policy.load(folder)
        self.approvals = Approvals(folder)
        self.audit = AuditLog(folder)
        self.privacy = PrivacyAccount(folder, self.policy)
        self.store = self.store_of_sites = self._counting_store = CountingStore(store)
        self._description = site
        self._epsilon: float | None = None
        self._is_running = False
        self._is_leaving = False
        self._folder = folder

    def begin(self) -> None:
        (self._folder / LEAVE).unlink(missing_ok=True)  # of an earlier worker
        threading.Thread(target=self._wait_for_leave, name="leave", daemon=True).start()
        super().begin()  # it may wait for Redis, and the site may leave meanwhile
        self.client.delete(keys.left(self.site))

    def _wait_for_leave(self) -> None:
        """End this process, as SIGTERM does, when `run.py leave` asks for it."""
        while not (self._folder / LEAVE).exists():
            time.sleep(1)
        signal.raise_signal(signal.SIGTERM)

    def leave(self) -> None:
        """Announce that the site leaves; a training stops within a second, and its update does not count.

        A signal handler calls this, so Redis is asked in a thread.
        """
        self._is_leaving = True
        announce = partial(self.client.set, keys.left(self.site), 1, ex=keys.LIFETIME_S)
        threading.Thread(target=announce, name="leave").start()

    def still_expects(self, order: Order) -> bool:
        """Return whether an answer to the order would be accepted; nothing is done any more while leaving."""
        return not self._is_leaving and super().still_expects(order)

    def run_order(
        self, kind: type[AnyOrder], message: Any, do: Callable[[AnyOrder], dict[str, Any]]
    ) -> dict[str, Any] | None:
        """Run an order as `WorkerSession.run_order`, if `check` allows it."""

        def do_if_allowed(order: AnyOrder) -> dict[str, Any]:
            self.check(order)
            self._is_running = True
            answer = do(order)
            self._counting_store.bytes_out += len(json.dumps(answer))
            self.record(order, DONE)
            return answer

        self._counting_store.bytes_out, self._is_running, self._epsilon = 0, False, None
        return super().run_order(kind, message, do_if_allowed)

    def check(self, order: Order) -> None:
        """Refuse an order that the site does not allow.

        Raises:
            OrderRefused: naming the rule.
        """
        self.policy.check(order, self._description)
        if self.policy.needs_approval:
            self.approvals.check(order)
        served, most = self.audit.count_served(HOUR), self.policy.orders_per_hour
        if served >= most and not isinstance(order, STEPS):
            raise OrderRefused(f"{served} orders in the past hour: {FILE} has orders_per_hour = {most}")
        self._epsilon = self.privacy.spend(order, sum(self._description["train"]))

    def results_folder(self, run: str) -> Path | None:
        """Return where this site keeps its results of a run; None if its policy does not say so."""
        return self._folder / "runs" / run if self.policy.keep_models else None

    def check_early_stop(self, num_images: int) -> None:
        """Refuse the update of a training that stopped early, if the site's policy does not allow it."""
        self.policy.check_early_stop(num_images, sum(self._description["train"]))

    def record(self, order: Order, decision: str) -> None:
        """Record in the audit log what became of an order, before its answer leaves."""
        entry = {
            "sender": order.origin, "run": order.run, "job": order.job, "attempt": order.attempt,
            "settings": settings_digest(order), "decision": decision,
            "bytes_out": self._counting_store.bytes_out,
        }  # fmt: skip
        if self._epsilon is not None:
            entry["epsilon"] = f"{self._epsilon:.3f}"
        self.audit.append(entry)

    def _fail(self, board: JobBoard, order: Order, error: Exception) -> None:
        if self._is_leaving:
            error = SiteLeft("the site leaves")
        is_refused = isinstance(error, OrderRefused) or not self._is_running
        try:
            self.record(order, f"{REFUSED if is_refused else FAILED}: {error}")
        except OSError as unrecorded:  # such as a full disk, which may be the error itself
            logger.error("the audit log cannot be written: %s", unrecorded)
        super()._fail(board, order, error)

    def _skip(self, order: Order) -> None:
        super()._skip(order)
        self.record(order, f"{REFUSED}: no longer wanted")

    def _refuse(self, message: Any, error: MessageError) -> None:
        super()._refuse(message, error)
        self.audit.append({"decision": f"{REFUSED}: not understood: {error}"})


def own_folder(config: Config) -> Path:
    """Return the folder of a site's own files: policy, approvals and audit log."""
    return Path(config.DEPLOYMENT) if config.DEPLOYMENT else config.SITE_DIR / config.SITE
