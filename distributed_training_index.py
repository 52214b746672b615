"""The orchestrator: finds Redis and workers, runs the rounds of a training, prints the results."""

import argparse
import contextlib
import sys
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from commands.training_options import parse
from helpers.global_config import Config

if TYPE_CHECKING:
    import redis

    from helpers.cluster.chord_executor import ChordExecutor
    from helpers.cluster.job_board import JobBoard
    from helpers.federated.cohort import CohortChooser
    from helpers.federated.messages import RunState
    from helpers.federated.observers import Observer
    from helpers.federated.sites.cohort import SiteChooser
    from preprocessing.feed.prepared_data import PreparedData

# Celery, pandas and the rest are imported where they are used, so that --help answers at once.


def run_training(options: argparse.Namespace, config: Config, run: str) -> None:
    """Run a training from its start, or from where it stopped, and print its results.

    Args:
        options: `resume`, `force`, `overwrite` and `tensorboard` of the command line.
        config: its settings.
        run: its name.

    Raises:
        UserError: a setting, a name or the input is wrong.
        ClusterError: the cluster could not finish.
        KeyboardInterrupt: asked to stop; the records are those of the last finished round.
    """
    import redis
    from rich.console import Console

    from helpers.cluster.connection import check_reachable, connect
    from helpers.cluster.job_board import JobBoard
    from helpers.cluster.versions import versions_here
    from helpers.monitoring.registry import make_observers
    from helpers.monitoring.result_tables import print_results
    from helpers.run_records.files import RunFolders
    from helpers.run_records.resume import check_name, check_same, config_to_resume
    from helpers.run_records.tables import ROUND_COLUMNS, read_table
    from preprocessing.feed.run_data import augmented_examples, data_and_config

    folders = RunFolders.of(config, run)
    is_resumed = bool(options.resume)
    check_name(run, folders, resume=is_resumed, overwrite=options.overwrite)
    if is_resumed:
        config = config_to_resume(folders, config)
    client = connect(config.REDIS_URL.get_secret_value())
    check_reachable(client)
    data, config = data_and_config(config)
    facts = {
        "settings": config.for_run(),
        "data_digest": data.digest if data else "",
        "versions": versions_here(),
    }
    if is_resumed:
        check_same(folders, facts, force=options.force)

    console = Console()
    observer = make_observers(
        config,
        folders,
        console,
        examples=lambda: augmented_examples(data, config) if data else (),
        with_tensorboard=options.tensorboard,
    )
    board = JobBoard(client, run, session=uuid.uuid4().hex[:12])
    executor = make_executor(config, client, board, facts, observer)
    board.take_over()
    try:
        cohorts = make_cohorts(config, data, executor, observer)
        state = run_all_rounds(config, run, is_resumed, executor, cohorts, observer)
        test = executor.finish_run(state, cohorts)["test"]
    finally:
        observer.close()
        with contextlib.suppress(redis.RedisError):
            board.close()
    rounds = read_table(folders.metrics / "rounds.csv", ROUND_COLUMNS)
    print_results(console, rounds, test, config.class_names, folders.results)


def run_all_rounds(
    config: Config,
    run: str,
    is_resumed: bool,
    executor: "ChordExecutor",
    cohorts: "CohortChooser | SiteChooser",
    observer: "Observer",
) -> "RunState":
    """Start or resume the run, run its rounds and return its state.

    Each round is `chord(train × clients)(aggregate)`; see `ChordExecutor.run_round`.

    Raises:
        ClusterError: the cluster could not finish.
        KeyboardInterrupt: asked to stop before the last round.
    """
    from helpers.cluster.errors import QuorumMissed
    from helpers.federated.cohort import Cohort
    from helpers.federated.messages import Reference, RunState
    from helpers.federated.rounds import has_lost_patience, run_rounds
    from helpers.monitoring.interruption import Interruption

    def choose_cohort(state: RunState) -> Cohort:
        cohort = cohorts.choose(state)
        if shortage := config.strategy.shortage(len(cohort.clients)):
            raise QuorumMissed(f"round {state.round + 1}: {shortage}")
        return cohort

    started = executor.start_run(resume=is_resumed)
    state = RunState.from_message(started["state"])
    observer.run_started(run, state, config.EPOCHS)
    interruption = Interruption(observer.notice)
    with interruption.finishing_the_round():
        state = run_rounds(
            state,
            Reference.from_message(started["weights"]),
            started["states"],
            rounds=config.EPOCHS,
            patience=config.PATIENCE,
            choose_cohort=choose_cohort,
            executor=executor,
            observer=observer,
            is_asked_to_stop=lambda: interruption.is_asked_for,
        )
    if state.round == config.EPOCHS:
        return state
    if has_lost_patience(state, config.PATIENCE):
        observer.notice(f"stopped early: no better validation AUC for {config.PATIENCE} rounds")
        return state
    raise KeyboardInterrupt


def make_executor(
    config: Config, client: "redis.Redis", board: "JobBoard", facts: dict[str, Any], observer: "Observer"
) -> "ChordExecutor":
    """Return what runs the rounds: the executor of the run's kind of clients, with its supervisor."""
    from celery_app import app
    from helpers.cluster.chord_executor import ChordExecutor, RoundTerms
    from helpers.cluster.supervision import Supervisor

    kind = ChordExecutor
    if config.DATA_AT == "sites":
        from helpers.cluster.site_executor import SiteExecutor

        kind = SiteExecutor
    supervisor = Supervisor(client, board, config.WORKER_TIMEOUT_S, observer.notice)
    task_deadline_s = max(config.ROUND_DEADLINE_S, config.WORKER_TIMEOUT_S)
    terms = RoundTerms(config.ROUND_DEADLINE_S, config.MIN_CLIENTS, task_deadline_s)
    return kind(app, client, board, supervisor, board.identity | facts, terms, observer.progress)


def make_cohorts(
    config: Config, data: "PreparedData | None", executor: Any, observer: "Observer"
) -> "CohortChooser | SiteChooser":
    """Return what chooses the clients of each round.

    Raises:
        UserError: the images cannot be divided as the settings say.
    """
    from helpers.federated.cohort import CohortChooser
    from preprocessing.feed.partitioning import count_clients, most_clients

    if data is None or config.DATA_AT == "sites":
        from helpers.federated.sites.cohort import SiteChooser

        return SiteChooser(
            executor.wait_for_workers, config.MIN_CLIENTS, (*config.INPUT_SHAPE, config.INPUT_DIM),
            config.class_names, config.CLIENT_FRACTION, config.SEED, observer.notice,
        )  # fmt: skip
    fixed = count_clients(data, config)

    def count() -> int:
        return fixed or min(executor.count_trainers(), most_clients(data, config))

    return CohortChooser(count, config.clients_of, config.CLIENT_FRACTION, config.SEED, observer.notice)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    from commands.training import run_command

    return run_command(parse(arguments), run_training)


if __name__ == "__main__":
    sys.exit(main())
