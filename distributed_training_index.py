"""The orchestrator: reads the settings, finds Redis and workers, runs the rounds, prints the results."""

import argparse
import re
import sys
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from helpers.global_config import Config, ConfigError, UserError, add_settings, config_from_arguments

if TYPE_CHECKING:
    from preprocessing.prepared_data import PreparedData

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
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=HELP, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    name = parser.add_mutually_exclusive_group()
    name.add_argument("--run", metavar="NAME", help="name of the run [date and time]")
    name.add_argument("--resume", metavar="NAME", help="go on with a run after its last finished round")
    parser.add_argument("--overwrite", action="store_true", help="replace a run of the same name")
    add_settings(parser)
    return parser.parse_args(arguments)


def train(options: argparse.Namespace, config: Config) -> None:
    """Run a training from its start, or from where it stopped, to its results.

    Raises:
        UserError: a setting, a name or the input is wrong.
        ClusterError: the cluster could not finish.
    """
    from rich.console import Console

    from celery_app import app
    from helpers.cluster.chord_executor import ChordExecutor
    from helpers.cluster.connection import check_reachable, connect
    from helpers.cluster.job_board import JobBoard
    from helpers.cluster.supervision import Supervisor
    from helpers.federated.messages import Reference, RunState
    from helpers.federated.rounds import run_rounds
    from helpers.monitoring.terminal import TerminalObserver, print_results
    from helpers.run_records.files import RunFolders
    from helpers.run_records.tables import ROUND_COLUMNS, read_table

    run = options.resume or options.run or time.strftime("%Y-%m-%d_%H-%M-%S")
    folders = RunFolders.of(config, run)
    _check_name(run, exists=folders.exist(), resume=bool(options.resume), overwrite=options.overwrite)
    client = connect(config.REDIS_URL.get_secret_value())
    check_reachable(client)
    data = prepared_data(config)

    console = Console()
    observer = TerminalObserver(console)
    session = uuid.uuid4().hex[:12]
    board = JobBoard(client, run, session)
    facts = {
        "run": run, "session": session, "settings": config.for_run(), "data_digest": data.digest,
    }  # fmt: skip
    supervisor = Supervisor(client, board, config.WORKER_TIMEOUT_S, observer.notice)
    executor = ChordExecutor(app, board, supervisor, facts, observer.progress)
    board.take_over()
    try:
        started = executor.start_run(resume=bool(options.resume))
        state = RunState.from_message(started["state"])
        observer.run_started(run, state, config.EPOCHS)
        run_rounds(
            state,
            Reference.from_message(started["weights"]),
            rounds=config.EPOCHS,
            num_clients=config.num_workers,
            executor=executor,
            observer=observer,
        )
        test = executor.finish_run()["test"]
    finally:
        observer.close()
        board.close()
    rounds = read_table(folders.metrics / "rounds.csv", ROUND_COLUMNS)
    print_results(console, rounds, test, [folders.metrics, folders.models / "best.keras"])


def prepared_data(config: Config) -> "PreparedData":
    """Open the prepared images; where there are none, prepare them first.

    Raises:
        UserError: the images cannot be prepared, or were prepared at another size.
    """
    from preprocessing.load_and_create_dataset import prepare
    from preprocessing.prepared_data import MANIFEST, PreparedData
    from preprocessing.terminal_output import print_summary, progress_bar

    folder = config.PREPROCESSED_DIR
    if not (folder / MANIFEST).exists():
        print(f"{folder} holds no prepared images: preparing those in {config.DATA_DIR} first")
        with progress_bar() as progress:
            print_summary(prepare(config, progress=progress))
    data = PreparedData.open(folder)
    size = tuple(data.manifest["settings"]["INPUT_SHAPE"])
    if size != config.INPUT_SHAPE:
        raise ConfigError(
            f"INPUT_SHAPE: received {config.INPUT_SHAPE}, but the images in {folder} are {size}; set it to "
            "that, or prepare them again with python preprocessing/load_and_create_dataset.py --input-shape"
        )
    return data


def _check_name(run: str, *, exists: bool, resume: bool, overwrite: bool) -> None:
    if not RUN_NAME.fullmatch(run):
        raise ConfigError(f"--run {run!r}: use letters, digits, `.`, `_`, `-`, at most 100")
    if resume and not exists:
        raise ConfigError(f"--resume {run}: there is no such run")
    if exists and not (resume or overwrite):
        raise ConfigError(
            f"--run {run}: exists already; take another name, or --resume {run} to go on, "
            "or --overwrite to replace it"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = parse(arguments)
    try:
        config = config_from_arguments(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    from helpers.cluster.errors import ClusterError

    try:
        train(options, config)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
