"""Parts of a training that depend on its settings: what runs its rounds, and what chooses their clients."""

import uuid
from collections.abc import Callable
from typing import Any

from celery_app import app
from commands.envelopes import envelopes_of
from helpers.cluster.absent_clients import RoundTerms
from helpers.cluster.advice import HOW_TO_START_AT_SITES
from helpers.cluster.chord_executor import ChordExecutor
from helpers.cluster.job_board import JobBoard
from helpers.cluster.mailbox import SiteBoard
from helpers.cluster.run_workers import SiteWorkers
from helpers.cluster.secure_executor import SecureExecutor
from helpers.cluster.site_executor import SiteExecutor
from helpers.cluster.supervision import Supervisor
from helpers.cluster.versions import origin_here
from helpers.federated.cohort import CohortChooser, PoissonChooser
from helpers.federated.observers import Observer
from helpers.federated.results import RunState
from helpers.federated.rounds import has_lost_patience
from helpers.federated.sites.cohort import SiteChooser
from helpers.global_config import Config
from helpers.privacy.meaning import meaning
from helpers.privacy.mechanism import mechanism_of
from helpers.settings.errors import ConfigError
from preprocessing.feed.partitioning import count_clients, most_clients, partition
from preprocessing.feed.prepared_data import PreparedData

Cohorts = CohortChooser | SiteChooser


def make_board(config: Config, client: Any, run: str, observer: Observer) -> JobBoard:
    """Return the job board of a new session of a run; where clients are sites, they reply by mail.

    Raises:
        ConfigError: the deployment of this machine cannot be used.
    """
    session = uuid.uuid4().hex[:12]
    if config.DATA_AT == "sites":
        envelopes = envelopes_of(config)
        return SiteBoard(client, run, session, notice=observer.notice, envelopes=envelopes)
    if config.DEPLOYMENT:
        raise ConfigError("DEPLOYMENT: it is for runs of sites; add --data-at sites, or unset it")
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
        UserError: the images cannot be divided as the settings say, or the budget of DP cannot be met.
    """
    if config.DP != "off":
        announce_privacy(config, None if config.DATA_AT == "sites" else data, observer.notice)
    if data is None or config.DATA_AT == "sites":
        return SiteChooser(
            executor.wait_for_workers, config.MIN_CLIENTS, (*config.INPUT_SHAPE, config.INPUT_DIM),
            config.class_names, config.CLIENT_FRACTION, config.SEED, observer.notice,
        )  # fmt: skip
    fixed = count_clients(data, config)

    def count() -> int:
        return fixed or min(executor.count_trainers(), most_clients(data, config))

    kind = PoissonChooser if config.DP == "client" and config.CLIENT_FRACTION < 1 else CohortChooser
    return kind(
        count_clients=count, clients_of=config.clients_of, fraction=config.CLIENT_FRACTION, seed=config.SEED,
        notice=observer.notice,
    )  # fmt: skip


def announce_privacy(config: Config, data: PreparedData | None, notice: Callable[[str], None]) -> None:
    """Say how much noise a private run adds, and what its ε will mean; check that its budget can be met.

    Raises:
        ConfigError: it cannot, DP_DELTA is too large, or dp-accounting is not installed.
    """
    if config.DP == "example" and data is None:
        budget = config.DP_TARGET_EPSILON
        limit = f"; after all rounds at most {meaning(dict(config), budget)}" if budget else ""
        notice(f"DP=example: every site finds the noise for its own number of images{limit}")
        return
    sizes = {0}
    if config.DP == "example" and data is not None:
        sizes = {len(rows) for rows in partition(data, config, count_clients(data, config) or 0)}
    number = max(sizes) if config.DP == "example" else config.num_clients
    if number and 1 / number <= config.DP_DELTA:
        unit = "training images of a client" if config.DP == "example" else "clients"
        raise ConfigError(
            f"DP_DELTA: received {config.DP_DELTA:g}, expected below 1 / {number}, for {number} {unit}"
        )
    mechanisms = [mechanism_of(dict(config), size) for size in sizes]
    noises = sorted(mechanism.noise_multiplier for mechanism in mechanisms)
    shown = " to ".join(dict.fromkeys(f"{noise:.3g}" for noise in (noises[0], noises[-1])))
    planned = max(mechanism.epsilon(config.EPOCHS) for mechanism in mechanisms)
    notice(f"DP={config.DP}: noise multiplier {shown}; after all rounds {meaning(dict(config), planned)}")


def early_end(config: Config, state: RunState) -> str:
    """Return why a run ends before its last round.

    Raises:
        KeyboardInterrupt: it was asked to stop.
    """
    if state.budget_is_spent:
        return f"stopped: another round would exceed DP_TARGET_EPSILON={config.DP_TARGET_EPSILON:g}"
    if has_lost_patience(state, config.PATIENCE):
        return f"stopped early: no better validation AUC for {config.PATIENCE} rounds"
    raise KeyboardInterrupt
