"""The orchestrator: reads the settings, finds Redis and workers, runs the rounds, prints the results."""

import argparse
import contextlib
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from helpers.global_config import Config
from helpers.settings.command_line import ArgumentParser, add_settings, config_from_arguments
from helpers.settings.errors import ConfigError, UserError
from helpers.settings.types import AUGMENTATION_PRESETS

if TYPE_CHECKING:
    from rich.console import Console

    from helpers.cluster.chord_executor import ChordExecutor
    from helpers.federated.cohort import CohortChooser
    from helpers.federated.messages import RunState
    from helpers.federated.observers import Observer
    from helpers.federated.sites.cohort import SiteChooser
    from helpers.run_records.files import RunFolders
    from preprocessing.feed.prepared_data import PreparedData

# Celery, pandas and the rest are imported where they are used, so that --help answers at once.

HELP = """\
Trains the CNN on the images in preprocessed/ (made from the image folder when absent) with the Celery
workers that are running, one chord a round, and writes metrics/<run>/ and models/<run>/.
"""
EXAMPLES = """\
before you start, in other terminals:
  redis-server
  celery --app=celery_app worker --pool=solo --loglevel=info --hostname=worker1@%h     (worker2, worker3 …)
or both at once:
  python run.py up --workers 3

examples:
  python distributed_training_index.py
  python distributed_training_index.py --run first --epochs 20 --train-batch-size 16
  python distributed_training_index.py --resume first

exit status: 0 done; 2 a setting or input is wrong; 3 the cluster could not finish; 130 interrupted
"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(
        description=HELP, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    name = parser.add_mutually_exclusive_group()
    name.add_argument("--run", metavar="NAME", help="name of the run [date and time]")
    name.add_argument("--resume", metavar="NAME", help="go on with a run after its last finished round")
    parser.add_argument(
        "--force", action="store_true", help="resume although settings, images or versions have changed"
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="also train pooled in one process and each client alone, clients + 2 trainings in all, and "
        "compare their tests",
    )
    parser.add_argument("--tensorboard", action="store_true", help="write metrics/<run>/tensorboard too")
    parser.add_argument("--overwrite", action="store_true", help="replace a run of the same name")
    add_settings(parser, Config)
    return parser.parse_args(arguments)


def train(options: argparse.Namespace, config: Config, run: str) -> None:
    """Run a training from its start, or from where it stopped, to its results.

    Raises:
        UserError: a setting, a name or the input is wrong.
        ClusterError: the cluster could not finish.
        KeyboardInterrupt: asked to stop; the records are those of the last finished round.
    """
    import redis
    from rich.console import Console

    from celery_app import app
    from helpers.cluster.chord_executor import ChordExecutor, RoundTerms
    from helpers.cluster.connection import check_reachable, connect
    from helpers.cluster.job_board import JobBoard
    from helpers.cluster.supervision import Supervisor
    from helpers.cluster.versions import versions_here
    from helpers.federated.sites.cohort import SiteChooser
    from helpers.monitoring.result_tables import print_results
    from helpers.reporting.report import write_report
    from helpers.run_records.files import RunFolders
    from helpers.run_records.resume import check_name, check_same, config_to_resume
    from helpers.run_records.tables import ROUND_COLUMNS, read_table
    from preprocessing.feed.run_data import prepared_data, test_set

    folders = RunFolders.of(config, run)
    is_resumed = bool(options.resume)
    check_name(run, folders, resume=is_resumed, overwrite=options.overwrite)
    if is_resumed:
        config = config_to_resume(folders, config)
    config.check_input_shape()
    client = connect(config.REDIS_URL.get_secret_value())
    check_reachable(client)
    data = None if config.DATA_AT == "sites" else prepared_data(config)
    seen = data or test_set(config)
    digest = seen.digest if seen else ""
    config = config.model_copy(update={"CLASS_NAMES": seen.class_names if seen else config.class_names})
    config.check_threshold()
    facts = {"settings": config.for_run(), "data_digest": digest, "versions": versions_here()}
    if is_resumed:
        check_same(folders, facts, force=options.force)

    def report(is_running: bool) -> object:
        audit = config.PREPROCESSED_DIR / "audit.csv" if data else None
        return write_report(config.METRICS_DIR, config.MODELS_DIR, run, audit, is_running=is_running)

    console = Console()
    observer = _observers(console, config, data, folders, report, with_tensorboard=options.tensorboard)
    session = uuid.uuid4().hex[:12]
    board = JobBoard(client, run, session)
    supervisor = Supervisor(client, board, config.WORKER_TIMEOUT_S, observer.notice)
    task_deadline_s = max(config.ROUND_DEADLINE_S, config.WORKER_TIMEOUT_S)
    terms = RoundTerms(config.ROUND_DEADLINE_S, config.MIN_CLIENTS, task_deadline_s)
    identity = {"run": run, "session": session}
    executor = ChordExecutor(app, client, board, supervisor, identity | facts, terms, observer.progress)
    board.take_over()
    try:
        cohorts = _cohorts(config, data, executor, observer)
        state = run_all_rounds(config, run, is_resumed, executor, cohorts, observer)
        if isinstance(cohorts, SiteChooser):
            test = executor.finish_sites(cohorts.live(state, "test"))["test"]
        else:
            test = executor.finish_run()["test"]
    finally:
        observer.close()
        with contextlib.suppress(redis.RedisError):
            board.close()
    rounds = read_table(folders.metrics / "rounds.csv", ROUND_COLUMNS)
    files = ("best.keras", "model_card.md")
    places = [folders.metrics, folders.metrics / "report.html", *(folders.models / file for file in files)]
    print_results(console, rounds, test, config.class_names, places)


def _observers(
    console: "Console",
    config: Config,
    data: "PreparedData | None",
    folders: "RunFolders",
    report: Callable[[bool], object],
    *,
    with_tensorboard: bool,
) -> "Observer":
    """Who is told of the run: the terminal, the report and, if asked for, TensorBoard."""
    from helpers.federated.observers import Observer, Observers
    from helpers.monitoring.report_observer import ReportObserver
    from helpers.monitoring.terminal import TerminalObserver

    observers: list[Observer] = [TerminalObserver(console, config.TRAIN_BATCH_SIZE), ReportObserver(report)]
    if with_tensorboard:
        import numpy as np

        from helpers.monitoring.tensorboard import TensorBoardObserver
        from preprocessing.feed.augment_images import augmented_examples

        # Of images at the sites, none.
        examples = np.empty((0, *config.INPUT_SHAPE, config.INPUT_DIM), np.float32)
        if data is not None:
            examples = augmented_examples(data.images("train"), config.AUGMENTATION, config.SEED)
        observers.append(TensorBoardObserver(folders.metrics / "tensorboard", config.for_run(), examples))
    return Observers(observers)


def _cohorts(
    config: Config, data: "PreparedData | None", executor: "ChordExecutor", observer: "Observer"
) -> "CohortChooser | SiteChooser":
    """Who decides which clients there are and which of them take part in a round.

    Raises:
        UserError: the images cannot be divided as the settings say.
    """
    from helpers.federated.cohort import CohortChooser
    from helpers.federated.sites.cohort import SiteChooser
    from preprocessing.feed.partitioning import count_clients, most_clients

    if data is None:
        return SiteChooser(
            executor.wait_for_workers, config.MIN_CLIENTS, (*config.INPUT_SHAPE, config.INPUT_DIM),
            config.class_names, config.CLIENT_FRACTION, config.SEED, observer.notice,
        )  # fmt: skip
    fixed = count_clients(data, config)

    def count() -> int:
        return fixed or min(executor.count_trainers(), most_clients(data, config))

    return CohortChooser(count, config.clients_of, config.CLIENT_FRACTION, config.SEED, observer.notice)


def run_all_rounds(
    config: Config,
    run: str,
    is_resumed: bool,
    executor: "ChordExecutor",
    cohorts: "CohortChooser | SiteChooser",
    observer: "Observer",
) -> "RunState":
    """Start or resume the run and do its rounds, stopping early where that is due; return its state.

    Raises:
        ClusterError: the cluster could not finish; also if a round would have too few clients for STRATEGY.
        KeyboardInterrupt: asked to stop before the last round.
    """
    from helpers.cluster.errors import QuorumMissed
    from helpers.federated.cohort import Cohort
    from helpers.federated.messages import Reference, RunState
    from helpers.federated.rounds import has_lost_patience, run_rounds
    from helpers.monitoring.interruption import Interruption

    def choose_cohort(state: RunState) -> Cohort:
        cohort = cohorts.choose(state)
        if shortage := config.shortage(len(cohort.clients)):
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


def _how_to_resume(config: Config, run: str, options: argparse.Namespace) -> str:
    """The command that goes on, if there is something to go on with."""
    from helpers.run_records.files import RunFolders

    if not RunFolders.of(config, run).state.exists():
        return ""
    comparing = " --compare" if options.compare else ""
    return f"\nto go on: python distributed_training_index.py --resume {run}{comparing}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = parse(arguments)
    try:
        config = config_from_arguments(Config, options)
        if config.AUGMENTATION not in AUGMENTATION_PRESETS:
            from preprocessing.feed.custom_augmentation import embed_custom_augmentation

            config = embed_custom_augmentation(config)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    from helpers.cluster.errors import ClusterError

    run = options.resume or options.run or time.strftime("%Y-%m-%d_%H-%M-%S")
    try:
        if options.compare and config.DATA_AT == "sites":
            raise ConfigError("--compare with DATA_AT=sites: no one has the images of all to train pooled")
        if options.compare:
            from commands.budgets import compare_budgets

            compare_budgets(options, config, run, train)
        else:
            train(options, config, run)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ClusterError as error:
        print(f"error: {error}{_how_to_resume(config, run, options)}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print(f"stopped{_how_to_resume(config, run, options)}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
