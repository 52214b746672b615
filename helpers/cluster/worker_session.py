"""The session of a worker process: its connections and heartbeat, and how it runs an order."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import redis

from helpers.cluster.connection import address, check_not_refused, connect
from helpers.cluster.errors import WorkerUnable
from helpers.cluster.heartbeat import Heartbeat
from helpers.cluster.job_board import JobBoard
from helpers.cluster.process_tuning import what_decides_bits
from helpers.cluster.refusals import check_serves, is_away, translated
from helpers.cluster.versions import ROOT, explain_difference, origin_here, versions_here
from helpers.cluster.worker_logging import describe_outcome, title
from helpers.federated.messages import MessageError, Order
from helpers.global_config import Config
from helpers.run_records.fence import take_over
from helpers.run_records.files import RunFolders
from helpers.weight_store.store import open_store


class VersionsDiffer(WorkerUnable):
    """This worker's code or packages differ from the run's."""


class OtherCheckout(WorkerUnable):
    """This worker would write the results into another checkout on the orchestrator's machine."""


AnyOrder = TypeVar("AnyOrder", bound=Order)

logger = logging.getLogger(__name__)


class WorkerSession:
    """A worker's name, connection, weight store and heartbeat.

    Attributes:
        open_board: opens the job board of a run and session.
        check_is_new: raises for an order that was served before; only a deployment has such a check.
        store: of weights.
        store_of_sites: the same for runs whose images stay at the sites, which share no folder.

    Args:
        name: the worker's node name.
        redis_url: where Redis is.
        threads: the setting THREADS.
        weight_store: the setting WEIGHT_STORE.
        site: description of a site for the heartbeat, with its `name`; None without a site.
        gpu: the setting GPU.

    Raises:
        ConfigError: the folder of weights cannot be used.
    """

    open_board: Callable[..., JobBoard] = JobBoard
    check_is_new: Callable[[Order], None] = staticmethod(lambda order: None)

    def __init__(
        self,
        name: str,
        redis_url: str,
        threads: int,
        weight_store: str = "redis",
        site: dict[str, Any] | None = None,
        gpu: str = "",
    ) -> None:
        self.name = name
        self.site: str = site["name"] if site else ""
        self.threads = threads
        self.versions = versions_here()
        self.origin = origin_here()
        self._unable_for: set[str] = set()  # sessions of runs
        self.client = connect(redis_url)
        self.store = open_store(weight_store, self.client)
        self.store_of_sites = open_store("redis", self.client)
        about = {"threads": threads, "weight_store": weight_store, "site": site, "gpu": gpu}
        about["bits"] = what_decides_bits(threads)
        if site is None:  # a site does not show where its images are
            about["folders"] = _folders()
        self.heartbeat = Heartbeat(self.client, name, about)

    def begin(self) -> None:
        """Claim the name, waiting for Redis without a limit.

        Raises:
            NameTaken: a live worker has it.
            ConfigError: Redis refuses this worker, or its certificate is not trusted.
            RedisRefuses: Redis cannot serve.
        """
        while True:
            try:
                check_serves(self.client, address(self.client))
                self.heartbeat.claim()
                break
            except redis.RedisError as error:
                check_not_refused(self.client, error)
                if not is_away(error):
                    raise translated(error, address(self.client)) from None
                print(f"{self.name}: waiting for Redis at {address(self.client)} ({error})", flush=True)
                time.sleep(2)
        self.heartbeat.start()

    def check_versions(self, order: Order) -> None:
        """Refuse an order of a run with other code or packages.

        Raises:
            VersionsDiffer: saying what differs.
        """
        if difference := explain_difference(order.versions, self.versions):
            raise VersionsDiffer(
                f"{self.name} has {difference}; update and restart such workers, or start a new run"
            )

    def check_checkout(self, order: Order) -> None:
        """Refuse an order of another checkout on this machine; sites write no results.

        Raises:
            OtherCheckout: naming both folders.
        """
        host, _, folder = order.origin.partition(":")
        if order.origin != self.origin and self.origin.startswith(f"{host}:") and not order.site:
            raise OtherCheckout(
                f"{self.name} works in {ROOT}, the run in {folder} on the same machine; start a worker "
                "there, and set DT_NAMESPACE to keep the two projects apart"
            )

    def check_settings(self, order: Order) -> None:
        """Refuse an order that sets a setting of this machine, such as where files are written.

        Raises:
            MessageError: naming those settings.
        """
        if wrong := sorted(set(order.settings) - Config.run_setting_names()):
            raise MessageError(f"{wrong} are not settings of a run")

    def check_site(self, order: Order) -> None:
        """Refuse an order for another site than this worker's.

        Raises:
            MessageError: naming the site of the order.
        """
        if order.site != self.site:
            here, there = (f"site {name}" if name else "no site" for name in (self.site, order.site))
            raise MessageError(f"{self.name} serves {here}, the order is for {there}")

    def leave(self) -> None:
        """Prepare for the end of this process, which a signal asked for; a site leaves its runs."""

    def results_folder(self, run: str) -> Path | None:
        """Return where this site keeps its results of a run; None elsewhere."""

    def check_early_stop(self, num_images: int) -> None:
        """Accept the update of a training that stopped early, after this many images; a site may not."""

    def still_expects(self, order: Order) -> bool:
        """Return whether an answer to the order would be accepted; True while Redis does not answer."""
        try:
            return self.open_board(self.client, order.run, order.session).expects(order.job, order.attempt)
        except redis.RedisError:
            return True

    def run_order(
        self, kind: type[AnyOrder], message: Any, do: Callable[[AnyOrder], dict[str, Any]]
    ) -> dict[str, Any] | None:
        """Run an order and put its answer on the job board. One that writes the run takes it over first.

        Errors of `do` are not raised, as a header task of a chord must not raise. The traceback goes to the
        worker's log and one line to the orchestrator, which decides what follows.

        Args:
            kind: class of the order.
            message: the order; the heartbeat shows it as the current task.
            do: runs the order and returns the answer, JSON-ready.

        Returns:
            The answer if it was accepted; None if the order is out of date, not understood or failed.

        Raises:
            redis.RedisError: Redis cannot be reached; the orchestrator then finds the job lost.
        """
        try:
            order = kind.from_message(message)
        except MessageError as error:
            self._refuse(message, error)
            return None
        board = self.open_board(self.client, order.run, order.session)
        if not board.expects(order.job, order.attempt):
            self._skip(order)
            return None
        with self.heartbeat.working_on(run=order.run, job=order.job, attempt=order.attempt):
            try:
                self.check_checkout(order)
                self.check_versions(order)
                self.check_settings(order)
                self.check_site(order)
                self.check_is_new(order)
                if order.writes:
                    folders = RunFolders.of(Config.from_run(order.settings), order.run)
                    take_over(folders, lambda: board.expects(order.job, order.attempt))
                answer = do(order)
            except Exception as error:  # whatever a training may raise
                self._fail(board, order, error)
                return None
            if not board.answer(order.job, order.attempt, answer):
                logger.warning("%s: finished too late, the result is not used", title(order))
                return None
            logger.info("%s", describe_outcome(order, answer))
        return answer

    def _skip(self, order: Order) -> None:
        """Report an order that is out of date."""
        logger.info("%s: skipped, no longer wanted", title(order))

    def _fail(self, board: JobBoard, order: Order, error: Exception) -> None:
        """Report an error of an order; an unable worker logs why once per session of a run."""
        is_unable = isinstance(error, WorkerUnable)
        if not is_unable or order.session not in self._unable_for:
            logger.exception("%s: failed", title(order))
        if is_unable:
            self._unable_for.add(order.session)
        reason = f"{type(error).__name__}: {error}"
        board.fail(order.job, order.attempt, self.name, reason, is_unable=is_unable)

    def _refuse(self, message: Any, error: MessageError) -> None:
        """Report an order that cannot be read, such as one of another version of the project."""
        logger.error("order not understood: %s", error)
        names = ("run", "session", "job", "attempt")
        match [message.get(name) for name in names] if isinstance(message, dict) else None:
            case [str(run), str(session), str(job), int(attempt)]:
                board, reason = self.open_board(self.client, run, session), f"not understood: {error}"
                board.fail(job, attempt, self.name, reason, is_unable=True)


def _folders() -> dict[str, str]:
    """Return this worker's checkout, and where it reads prepared images and writes results."""
    config = Config.load()
    names = ("PREPROCESSED_DIR", "METRICS_DIR", "MODELS_DIR")
    return {"checkout": str(ROOT)} | {name: str(getattr(config, name).absolute()) for name in names}
