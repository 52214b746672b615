"""Parts of a training that depend on its settings: what runs its rounds, and what chooses their clients."""

import uuid
from typing import Any

from celery_app import app
from helpers.cluster.absent_clients import RoundTerms
from helpers.cluster.advice import HOW_TO_START_AT_SITES
from helpers.cluster.chord_executor import ChordExecutor
from helpers.cluster.job_board import JobBoard
from helpers.cluster.mailbox import SiteBoard, Verify, any_signature
from helpers.cluster.run_workers import SiteWorkers
from helpers.cluster.secure_executor import SecureExecutor
from helpers.cluster.site_executor import SiteExecutor
from helpers.cluster.supervision import Supervisor
from helpers.cluster.versions import origin_here
from helpers.federated.cohort import CohortChooser
from helpers.federated.observers import Observer
from helpers.federated.sites.cohort import SiteChooser
from helpers.global_config import Config
from preprocessing.feed.partitioning import count_clients, most_clients
from preprocessing.feed.prepared_data import PreparedData

Cohorts = CohortChooser | SiteChooser


def make_board(config: Config, client: Any, run: str, observer: Observer) -> JobBoard:
    """Return the job board of a new session of a run; where clients are sites, they reply by mail."""
    session = uuid.uuid4().hex[:12]
    if config.DATA_AT == "sites":
        verify: Verify = any_signature
        if config.DEPLOYMENT:
            from helpers.sites.deployment import open_deployment

            verify = open_deployment(config).verify
        return SiteBoard(client, run, session, notice=observer.notice, verify=verify)
    return JobBoard(client, run, session)


def make_executor(
    config: Config, client: Any, board: JobBoard, facts: dict[str, Any], observer: Observer
) -> ChordExecutor:
    """Return what runs the rounds: the executor of the run's kind of clients, with its supervisor."""
    kind = ChordExecutor
    if config.DATA_AT == "sites":
        kind = SecureExecutor if config.SECURE_AGGREGATION else SiteExecutor
    supervisor = Supervisor(client, board, config.WORKER_TIMEOUT_S, observer.notice)
    if isinstance(board, SiteBoard):
        supervisor.workers = SiteWorkers(client, observer.notice, board)
        supervisor.how_to_start = HOW_TO_START_AT_SITES
    task_deadline_s = max(config.ROUND_DEADLINE_S, config.WORKER_TIMEOUT_S)
    terms = RoundTerms(config.ROUND_DEADLINE_S, config.MIN_CLIENTS, task_deadline_s)
    facts = board.identity | facts | {"origin": origin_here()}
    return kind(app, board, supervisor, facts, terms, observer.progress)


def make_cohorts(config: Config, data: PreparedData | None, executor: Any, observer: Observer) -> Cohorts:
    """Return what chooses the clients of each round.

    Raises:
        UserError: the images cannot be divided as the settings say.
    """
    if data is None or config.DATA_AT == "sites":
        return SiteChooser(
            executor.wait_for_workers, config.MIN_CLIENTS, (*config.INPUT_SHAPE, config.INPUT_DIM),
            config.class_names, config.CLIENT_FRACTION, config.SEED, observer.notice,
        )  # fmt: skip
    fixed = count_clients(data, config)

    def count() -> int:
        return fixed or min(executor.count_trainers(), most_clients(data, config))

    return CohortChooser(count, config.clients_of, config.CLIENT_FRACTION, config.SEED, observer.notice)
