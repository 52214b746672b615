"""The orchestrator: finds Redis and workers, runs the rounds of a training, prints the results."""

import commands  # noqa: F401, I001 - first, so that a Ctrl-C during the imports ends in one line
import argparse
import contextlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from commands.training_options import parse
from helpers.global_config import Config

if TYPE_CHECKING:
    from commands.training_parts import Cohorts
    from helpers.cluster.chord_executor import ChordExecutor
    from helpers.federated.observers import Observer
    from helpers.federated.results import RunState
    from helpers.run_records.run import Run

# Celery, pandas and the rest are imported where they are used, so that --help answers at once.


def train(run: str | None = None, **options: Any) -> "Run":
    """Train from Python and return the finished run; see `commands.train.train_here`.

    Redis and workers are started unless they run, and what was started is stopped.
    """
    from commands.train import train_here

    return train_here(run, **options)


def run_training(options: argparse.Namespace, config: Config, run: str) -> None:
    """Run a training from its start, or from where it stopped, and print its results.

    Args:
        options: `resume`, `force`, `overwrite`, `take_over` and `tensorboard` of the command line.
        config, run: its settings and name.

    Raises:
        UserError: a setting, a name or the input is wrong.
        ClusterError: the cluster could not finish.
        KeyboardInterrupt: asked to stop; the records are those of the last finished round.
    """
    import redis
    from rich.console import Console

    from commands.envelopes import envelopes_of
    from commands.living_run import take_from_others
    from commands.training_parts import make_board, make_cohorts, make_executor
    from helpers.cluster.connection import check_reachable, connect
    from helpers.cluster.ownership import take_run_over
    from helpers.cluster.versions import versions_here
    from helpers.monitoring.registry import make_observers
    from helpers.monitoring.result_tables import print_results
    from helpers.reporting.cautions import cautions
    from helpers.reporting.run_files import read_run
    from helpers.run_records.files import RunFolders
    from helpers.run_records.resume import check_name, check_same, config_to_resume
    from helpers.run_records.tables import ROUND_COLUMNS, read_table
    from preprocessing.feed.run_data import augmented_examples, check_augmentation, data_and_config

    folders = RunFolders.of(config, run)
    is_resumed = bool(options.resume)
    check_name(run, folders, resume=is_resumed, overwrite=options.overwrite)
    if is_resumed:
        config = config_to_resume(folders, config)
    check_augmentation(config)
    client = connect(config.REDIS_URL.get_secret_value())
    check_reachable(client)
    data, config = data_and_config(config)  # no data where all images are at sites
    digest = data.digest if data else ""
    facts = {"settings": config.for_run(), "data_digest": digest, "versions": versions_here()}
    if is_resumed:
        check_same(folders, facts, force=options.force)

    if folders.exist():
        take_from_others(run, config.MODELS_DIR, force=options.take_over)

    console = Console()
    observer = make_observers(
        config, folders, console, client, with_tensorboard=options.tensorboard,
        examples=lambda: augmented_examples(data, config) if data else (), envelopes=envelopes_of(config),
    )  # fmt: skip
    board = make_board(config, client, run, observer)
    executor = make_executor(config, client, board, facts, observer)
    take_run_over(board, force=options.take_over, notice=observer.notice)
    try:
        cohorts = make_cohorts(config, data, executor, observer)
        state = run_all_rounds(options, config, run, executor, cohorts, observer)
        answer = executor.finish_run(state, cohorts)
    finally:
        observer.close()
        with contextlib.suppress(redis.RedisError):
            board.close()
    files = read_run(config.METRICS_DIR, config.MODELS_DIR, run)
    print_results(
        console, read_table(folders.metrics / "rounds.csv", ROUND_COLUMNS), answer["test"],
        config.class_names, folders.results_found(answer["results"]),
        cautions(files) if files.test else (),  # they may be on the machine of the worker that averages
    )  # fmt: skip


def run_all_rounds(
    options: argparse.Namespace, config: Config, run: str, executor: "ChordExecutor", cohorts: "Cohorts",
    observer: "Observer",
) -> "RunState":  # fmt: skip
    """Start or resume the run, run its rounds and return its state.

    Each round is `chord(train × clients)(aggregate)`; see `ChordExecutor.run_round`.

    Raises:
        ClusterError: the cluster could not finish.
        KeyboardInterrupt: asked to stop before the last round.
    """
    from commands.training_parts import early_end
    from helpers.cluster.errors import QuorumMissed
    from helpers.federated.cohort import Cohort
    from helpers.federated.messages import Reference
    from helpers.federated.results import RunState
    from helpers.federated.rounds import run_rounds
    from helpers.monitoring.interruption import Interruption

    def choose_cohort(state: RunState) -> Cohort:
        cohort = cohorts.choose(state)
        if shortage := config.strategy.shortage(len(cohort.clients)):
            raise QuorumMissed(f"round {state.round + 1}: {shortage}")
        return cohort

    started = executor.start_run(resume=bool(options.resume), overwrite=options.overwrite)
    state = RunState.from_message(started["state"])
    observer.run_started(run, state, config.EPOCHS)
    interruption = Interruption(observer.notice, executor.is_asked_to_stop)
    with interruption.finishing_the_round():
        state = run_rounds(
            state, Reference.from_message(started["weights"]), started["states"], rounds=config.EPOCHS,
            patience=config.PATIENCE, choose_cohort=choose_cohort, run_round=executor.run_round,
            observer=observer, is_asked_to_stop=interruption.is_asked_to_stop,
        )  # fmt: skip
    if state.round < config.EPOCHS:
        observer.notice(early_end(config, state))
    return state


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    from commands.training import run_command

    return run_command(parse(arguments), run_training)


if __name__ == "__main__":
    sys.exit(main())
