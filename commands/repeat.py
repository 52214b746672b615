"""`run.py repeat`: the same training several times, and what its results are on average."""

import argparse
import sys
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from commands.repetitions import (
    Repetition,
    add_repetition_options,
    check_repetition_options,
    repetitions_of,
)
from commands.run_request import RunRequest
from commands.several_trainings import SeveralTrainings
from commands.train import add_own_options, run_training
from helpers.global_config import Config
from helpers.launcher.child_processes import unwind_when_terminated
from helpers.monitoring.result_tables import NOTHING, shown
from helpers.reporting.repeat_page import Repeated, write_repeat_page
from helpers.reporting.run_files import read_run
from helpers.settings.command_line import ArgumentParser
from helpers.settings.outside_text import printable

COMMAND = "python run.py repeat"
USAGE = f"{COMMAND} (--seeds 1..5 | --folds 5 | --fold-column NAME | --leave-out COLUMN) [option …]"
HELP = """\
Trains several times with the same settings and writes mean, spread and interval to metrics/<name>/. Finished
trainings are skipped, so that the same command continues after it was stopped. Options of
`python run.py train` are options, but for --resume, --compare and --overwrite.
"""
EXAMPLES = """\
examples:
  python run.py repeat --run mine --seeds 1..5                 five seeds on one split
  python run.py repeat --run mine --seeds 1..5 --resplit       each seed has its own splits
  python run.py repeat --run mine --folds 5                    every patient is tested once
  python run.py repeat --run mine --fold-column fold           folds of manifest.csv
  python run.py repeat --run mine --leave-out device           each device is the test once
"""
INTERVAL = {
    "seeds": "patients of the test and seeds",
    "folds": "folds, which differ in patients and training. It is a bit narrow: they share training images",
}


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    unwind_when_terminated()
    command = SeveralTrainings.of(COMMAND, make_parser, arguments)
    check_repetition_options(command.options, command.config)
    repetitions = repetitions_of(command.options, command.name, command.config, command.prepare())
    words = [*command.words, "--resume-with", "python run.py train"]
    status = train_all(repetitions, words, command.options.workers)
    if status:
        print(f"finished trainings are kept; to continue: {command.again}", file=sys.stderr)
        return status
    kind = "seeds" if command.options.seeds else "folds"
    write_results(command.config, command.name, repetitions, f"The 95 % interval counts {INTERVAL[kind]}.")
    return 0


def make_parser(arguments: Sequence[str]) -> ArgumentParser:
    """Return the parser of the options that a training does not have."""
    parser = ArgumentParser(
        prog="run.py repeat", usage=USAGE, description=HELP, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_repetition_options(parser)
    add_own_options(parser, arguments)
    return parser


def train_all(
    repetitions: Sequence[Repetition],
    arguments: Sequence[str],
    num_workers: int | None,
    train: Callable[[RunRequest, int | None], int] = run_training,
) -> int:
    """Train what is not finished; return the exit status of the first training that fails, otherwise 0."""
    for number, repetition in enumerate(repetitions, 1):
        head = f"Training {number} of {len(repetitions)}, {repetition.name}"
        request = repetition.request(arguments, num_workers)
        print(printable(f"{head}: {'finished' if request is None else f'run {repetition.run}'}"), flush=True)
        if request is not None and (status := train(request, num_workers)):
            return status
    return 0


def write_results(
    config: Config,
    name: str,
    repetitions: Sequence[Repetition],
    interval: str,
    console: Console | None = None,
) -> None:
    """Print mean, spread and interval of the tests; write them and a page to metrics/<name>/."""
    console = console or Console()
    files = {one.name: read_run(config.METRICS_DIR, config.MODELS_DIR, one.run) for one in repetitions}
    repeated = Repeated(name, files, interval)
    paths = write_repeat_page(config.METRICS_DIR / name, repeated)
    console.print(Text(f"\nTest of {len(files)} trainings", style="bold"))
    table = Table("metric", "mean", "sd", "95 % interval", "lowest", "highest", box=None, pad_edge=False)
    for row in repeated.summary().to_dict("records"):
        low, high = shown(row["low"]), shown(row["high"])
        cells = (shown(row[column]) for column in ("mean", "sd", "lowest", "highest"))
        mean, spread, lowest, highest = cells
        interval = NOTHING if low == NOTHING else f"{low} to {high}"
        table.add_row(row["metric"], mean, spread, interval, lowest, highest)
    console.print(table)
    console.print(repeated.interval)
    for path in paths:
        console.print(Text(printable(f"  {path}")), soft_wrap=True)
