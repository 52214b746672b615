"""`run.py tune`: searches for better settings, judged by validation over folds, never by the test."""

import argparse
import importlib.util
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from commands.run_request import RunRequest
from commands.search_space import FORM, Search, options_of
from commands.several_trainings import SeveralTrainings, without_run
from commands.train import add_own_options, run_training
from commands.training_options import parse
from helpers.global_config import Config
from helpers.launcher.child_processes import unwind_when_terminated
from helpers.launcher.local_cluster import log_files
from helpers.monitoring.result_tables import NOTHING
from helpers.monitoring.result_tables import shown as number
from helpers.run_records.files import RunFolders, write_whole
from helpers.run_records.tables import to_csv
from helpers.settings.command_line import ArgumentParser, config_from_arguments
from helpers.settings.errors import UserError, how_to_install
from helpers.settings.outside_text import shown
from preprocessing.feed.prepared_data import PreparedData
from preprocessing.prepare.divisions import without_test
from preprocessing.prepare.resplitting import resplit

COMMAND = "python run.py tune"
USAGE = f"{COMMAND} --search NAME=VALUES [--search …] [--trials N] [--folds K] [option …]"
HELP = """\
Searches for better settings with Optuna. Each trial trains on K folds of the training and validation images,
by patient, and is judged by its mean validation AUC. Bad trials are ended early. The test images are not in
any fold. The same command continues after it was stopped. Options of `python run.py train` are options, but
for --resume, --compare and --overwrite.
"""
EXAMPLES = """\
examples:
  python run.py tune --run lr --search base_lr=1e-5..1e-2:log --trials 20
  python run.py tune --run more --search momentum=0.5..0.99 --optimizer sgd --folds 4 --epochs 10
"""
MOST_FOLDS = 20
SHOWN_TRIALS = 10


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    unwind_when_terminated()
    command = SeveralTrainings.of(COMMAND, make_parser, arguments)
    options, config = command.options, command.config
    searches = check(options, command.words)
    data, folders = command.prepare(), RunFolders.of(config, command.name)
    places = ["--metrics-dir", str(folders.metrics), "--models-dir", str(folders.models)]
    words = [*command.words, *places, "--resume-with", COMMAND]

    from commands.tuning import TrainingStopped, Tuning, open_study, table_of

    facts = {
        "settings": RunRequest.of([*words, "--run", command.name], options.workers).config.for_run(),
        "images": data.digest, "folds": options.folds, "search": [repr(search) for search in searches],
    }  # fmt: skip
    journal = folders.metrics / "tune.journal"
    study = open_study(journal, command.name, facts, rounds=config.EPOCHS, seed=config.SEED)
    tuning = Tuning(
        folders, folds_of(data, options.folds, config), searches, words, options.workers, config.EPOCHS,
        train=_training(options.workers, folders.metrics / "logs"), say=partial(print, flush=True),
    )  # fmt: skip
    try:
        tuning.run(study, options.trials)
    except TrainingStopped as stopped:
        print(f"{stopped}; finished trainings are kept; to continue: {command.again}", file=sys.stderr)
        return stopped.status
    table = table_of(study, tuning.as_set)
    write_whole(folders.metrics / "tune.csv", to_csv(table))
    print_trials(table, searches, words_of_train(arguments), folders.metrics / "tune.csv")
    return 0


def make_parser(arguments: Sequence[str]) -> ArgumentParser:
    """Return the parser of the options that a training does not have."""
    parser = ArgumentParser(
        prog="run.py tune", usage=USAGE, description=HELP, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    group = parser.add_argument_group("the search")
    add = group.add_argument
    add("--search", action="append", default=[], metavar="NAME=VALUES", help=f"a setting to tune: {FORM}")
    add("--trials", type=int, default=20, metavar="N", help="number of trials in all [20]")
    add("--folds", type=int, default=5, metavar="K", help="number of folds by patient [5]")
    add_own_options(parser, arguments)
    return parser


def folds_of(data: PreparedData, number: int, config: Config) -> list[Path]:
    """Return the folder of the images of each fold, in PREPROCESSED_DIR.

    Raises:
        UserError: the images cannot be divided so.
    """
    places = [
        config.PREPROCESSED_DIR / f"{data.digest[:8]}-tune-{fold}-of-{number}-seed-{config.SEED}"
        for fold in range(1, number + 1)
    ]
    divisions = without_test(data, number, config.SEED)
    return [resplit(data, *each).folder for each in zip(divisions, places, strict=True)]


def check(options: argparse.Namespace, words: Sequence[str]) -> list[Search]:
    """Return the settings to tune, after checking all options and the ends of all values.

    Raises:
        UserError: one is wrong, or Optuna is not installed.
    """
    if not options.search:
        raise UserError(f"tune: say what is tuned: --search {FORM}")
    searches = [Search.of(text) for text in options.search]
    names = [search.name for search in searches]
    if len(set(names)) < len(names):
        raise UserError(f"--search: {', '.join(names)}: a setting is named twice")
    if options.trials < 1:
        raise UserError(f"--trials: received {options.trials}; at least 1")
    if not 2 <= options.folds <= MOST_FOLDS:
        raise UserError(f"--folds: received {options.folds}; expected 2 to {MOST_FOLDS}")
    for search in searches:
        for value in search.ends():
            config_from_arguments(Config, parse([*words, *options_of({search.name: value})]))
    if importlib.util.find_spec("optuna") is None:
        raise UserError(f"tune: needs Optuna; {how_to_install('tune')}")
    return searches


def _training(num_workers: int | None, logs: Path) -> Callable[[RunRequest, Callable[[], None]], int]:
    """Return a function that trains one run, with its output in a file of its own."""
    write = log_files(logs)

    def train(request: RunRequest, watch: Callable[[], None]) -> int:
        def on_line(line: str) -> None:
            write(request.run, line)

        return run_training(request, num_workers, logs / request.run, on_line=on_line, watch=watch)

    return train


def words_of_train(arguments: Sequence[str]) -> list[str]:
    """Return the options of the command line that `run.py train` takes."""
    words, rest = iter(without_run(arguments)), []
    for word in words:
        if word in ("--search", "--trials", "--folds"):
            next(words, None)
        elif word.partition("=")[0] not in ("--search", "--trials", "--folds"):
            rest.append(word)
    return rest


def print_trials(
    table: pd.DataFrame,
    searches: Sequence[Search],
    words: Sequence[str],
    file: Path,
    console: Console | None = None,
) -> None:
    """Print the best trials and the command that trains with the best values."""
    console = console or Console()
    complete = table[table["validation_auc"].notna()]
    names = [search.name for search in searches]
    view = Table("trial", "validation AUC", "sd", "gain", "sd of gain", *names, box=None, pad_edge=False)
    for row in complete.head(SHOWN_TRIALS).to_dict("records"):
        numbers = (number(row[column]) for column in ("validation_auc", "sd", "gain", "gain_sd"))
        view.add_row(row["trial"], *numbers, *(_value(row.get(name)) for name in names))
    console.print(f"{len(complete)} trials finished, {len(table) - len(complete)} ended early or refused.")
    console.print(view)
    best = complete.iloc[0]
    console.print(
        "sd: standard deviation over the folds. The gain of the best of many trials is too high, as it was "
        "chosen. No test image was used."
    )
    if best["gain"] <= best["gain_sd"] / len([key for key in best.index if key.startswith("fold_")]) ** 0.5:
        console.print("No trial is better than the settings as they are by more than the folds differ.")
    else:
        values = {name: best[name] for name in names}
        again = shlex.join(["python", "run.py", "train", *words, *options_of(values)])
        console.print(shown(f"To train with the best values: {again}"), soft_wrap=True)
    console.print(shown(f"  {file}"), soft_wrap=True)


def _value(value: object) -> str:
    if value is None or value != value:
        return NOTHING
    return f"{value:.4g}" if isinstance(value, float) else str(value)
