"""Celery app: settings, queues, and what a worker does when it starts and stops."""

import logging
import sys
from typing import Any

from celery import Celery
from celery.signals import (
    after_setup_logger,
    celeryd_init,
    import_modules,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)
from click import ClickException
from kombu.entity import Exchange, Queue

from helpers.cluster.errors import ClusterError, NameTaken
from helpers.cluster.keys import SITE_QUEUE, namespace
from helpers.cluster.process_tuning import tune_process, without_remarks
from helpers.cluster.worker_logging import LOG_FORMAT, quiet_logging
from helpers.cluster.worker_pool import check_pool, check_silent
from helpers.cluster.worker_session import WorkerSession
from helpers.federated.messages import AGGREGATE_QUEUE, TRAIN_QUEUE
from helpers.global_config import Config
from helpers.settings.errors import ConfigError, UserError
from preprocessing.feed.prepared_data import PreparedData

DAY_S = 86_400


def _settings() -> dict[str, Any]:
    """Return Celery's settings; called when they are first needed, not at import.

    Raises:
        ClickException: a setting is wrong; the command `celery` prints it in one line.
    """
    try:
        config = Config.load()
        deployment = _deployment(config) if config.DEPLOYMENT else None
    except ConfigError as error:
        raise ClickException(str(error)) from error
    url = config.REDIS_URL.get_secret_value()
    served = [TRAIN_QUEUE, AGGREGATE_QUEUE]
    known = ["train_task", "aggregate_task", "run_task", "sites.average", "sites.record", "sites.finish"]
    known += ["sites.secure_average"]
    is_site = bool(config.SITE)
    if is_site:  # its worker serves that site alone and can do nothing else
        served = [SITE_QUEUE + config.SITE]
        known = ["sites.train", "sites.score", "sites.own_test", "sites.secure_steps"]
    settings = {
        "broker_url": url,
        # A site touches no key of others: it stores no results and has no direct queue.
        "result_backend": None if is_site else url,
        "include": [f"tasks.{name}" for name in known],
        # TensorFlow hangs after a fork, so the pool is solo also without --pool.
        "worker_pool": "solo",
        # One exchange per queue: on a shared default one, every message would go to both.
        "task_queues": [Queue(name, Exchange(name), routing_key=name) for name in served],
        "task_default_queue": served[0],
        "worker_direct": not is_site,
        "worker_enable_remote_control": not is_site,
        # Data only: never pickle.
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        # One task at a time, and none reserved that another worker could do.
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "task_acks_late": False,
        "result_expires": DAY_S,
        "timezone": "UTC",
        "worker_hijack_root_logger": False,
        "worker_log_format": LOG_FORMAT,
        # A solo worker acknowledges when the task ends; a shorter time would run long tasks twice.
        "broker_transport_options": {
            "global_keyprefix": namespace(),
            "visibility_timeout": DAY_S,
            # Unacknowledged messages are in keys of all workers; a site's lost order is sent again anyway.
            "ack_emulation": not is_site,
            "priority_steps": [0],
            "health_check_interval": 25,
            "socket_keepalive": True,
            "socket_timeout": 60,
            "socket_connect_timeout": 10,
        },
        "result_backend_transport_options": {
            "global_keyprefix": namespace(),
            "retry_policy": {"max_retries": 60, "interval_max": 5},
            "visibility_timeout": DAY_S,
        },
        "result_backend_always_retry": True,
        # Six minutes on average, longer than WORKER_TIMEOUT_S; without an end it could not be stopped.
        "result_backend_max_retries": 80,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
    }
    return settings | (_sealed_messages(deployment) if deployment else {})


def _deployment(config: Config) -> Any:
    from helpers.sites.deployment import open_deployment  # only a deployment needs it, and cryptography

    return open_deployment(config)


def _sealed_messages(deployment: Any) -> dict[str, Any]:
    """Return the settings with which tasks are signed and sealed, and all else is refused."""
    from helpers.sites.sealed_orders import register_sealed  # it needs cryptography

    return register_sealed(deployment) | {"worker_enable_remote_control": False}


app = Celery("celery_app")
app.add_defaults(_settings)

_session: WorkerSession | None = None


def worker_session() -> WorkerSession:
    """Return the session of this worker process.

    Raises:
        RuntimeError: this process is not a Celery worker.
    """
    if _session is None:
        raise RuntimeError("this process is not a Celery worker")
    return _session


@import_modules.connect
def _load_tasks(sender: Celery, **_: Any) -> None:
    """Import the tasks, and with them TensorFlow, which a worker does first of all."""
    tune_process()
    with without_remarks():
        for module in sender.conf.include:
            sender.loader.import_task_module(module)


@after_setup_logger.connect
def _quiet_logging(logger: logging.Logger, loglevel: int, format: str, colorize: bool, **_: Any) -> None:
    quiet_logging(logger, loglevel, format, colorize)


@celeryd_init.connect
def _claim_name(sender: str, options: dict[str, Any], **_: Any) -> None:
    global _session
    from helpers.cluster.message_filter import check_messages  # only a worker needs it

    try:
        check_pool(options)
        config = Config.load()
        if config.DEPLOYMENT:
            check_silent(options)
        check_messages(are_sealed=bool(config.DEPLOYMENT))
        if config.SITE and options.get("queues"):
            raise ConfigError(f"-Q: with DT_SITE={config.SITE} a worker serves that site alone; leave out -Q")
        _session = _open_session(sender, config)
        _session.begin()
    except (NameTaken, UserError) as error:
        sys.exit(f"celery worker: {error}")
    except ClusterError as error:
        print(f"celery worker: {error}", file=sys.stderr)
        sys.exit(error.exit_status)


def _open_session(name: str, config: Config) -> WorkerSession:
    """Return the session of a worker; that of a site shows the site's name and the counts of its images.

    Raises:
        UserError: a setting is wrong, or the site has no prepared images.
    """
    if not config.SITE:
        url = config.REDIS_URL.get_secret_value()
        session = WorkerSession(name, url, config.THREADS, config.WEIGHT_STORE, gpu=config.GPU)
        if config.DEPLOYMENT:
            from helpers.sites.served_orders import ServedOrders

            deployment = _deployment(config)
            session.open_board = deployment.open_board
            session.check_is_new = ServedOrders(deployment.folder).check
            session.store_of_sites = deployment.sealed(session.store_of_sites)
        return session
    from helpers.sites.site_session import SiteSession  # only a site needs it

    site = {"name": config.SITE, **PreparedData.open(config.PREPROCESSED_DIR).counts()}
    return SiteSession(name, config, site)


@worker_ready.connect
def _show_ready(**_: Any) -> None:
    worker_session().heartbeat.show_ready(sorted(app.amqp.queues.consume_from))


@worker_shutting_down.connect
def _leave(**_: Any) -> None:
    if _session is not None:
        _session.leave()


@worker_shutdown.connect
def _give_name_back(**_: Any) -> None:
    if _session is not None:
        _session.heartbeat.stop()
