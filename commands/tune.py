"""`run.py tune`: searches for better settings, judged by validation over folds, never by the test."""

import argparse
import importlib.util
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from scipy.special import stdtrit

from commands.run_request import RunRequest
from commands.search_space import AS_SET, FORM, Search, options_of
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
from helpers.settings.errors import DIVERGED, ConfigError, UserError, how_to_install
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
    study = open_study(journal, command.name, facts, seed=config.SEED)
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
    """Return a function that trains one run, with its output in a file of its own.

    It raises ConfigError for a training that diverged.
    """
    write = log_files(logs)

    def train(request: RunRequest, watch: Callable[[], None]) -> int:
        diverged = []

        def on_line(line: str) -> None:
            write(request.run, line)
            if DIVERGED in line:
                diverged.append(line)

        status = run_training(request, num_workers, logs / request.run, on_line=on_line, watch=watch)
        if status == 3 and diverged:
            raise ConfigError(f"{request.run}: {diverged[-1].strip()}")
        return status

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
    shown_rows = complete[(complete["trial"] == AS_SET) | (np.arange(len(complete)) < SHOWN_TRIALS)]
    for row in shown_rows.to_dict("records"):
        numbers = (number(row[column]) for column in ("validation_auc", "sd", "gain", "gain_sd"))
        view.add_row(row["trial"], *numbers, *(_value(row.get(name)) for name in names))
    num_trials = len(complete) - 1  # one row is the settings as they are
    console.print(f"{num_trials} trials finished, {len(table) - len(complete)} ended early or refused.")
    console.print(view)
    console.print("sd: standard deviation over the folds. No test image was used.")
    best = complete.iloc[0]
    num_folds = len([column for column in complete if str(column).startswith("fold_")])
    error = best["gain_sd"] / num_folds**0.5
    if best["gain"] <= error:
        console.print("No trial is better than the settings as they are by more than the folds differ.")
    else:
        by_chance = gain_by_chance(error, num_folds, num_trials)
        verdict = "more than" if best["gain"] > by_chance else "as may be by chance, not more than"
        console.print(
            f"The best gain is {best['gain']:.3f}, {verdict} the {by_chance:.3f} that the best of "
            f"{num_trials} trials without effect passes at most once in twenty searches. "
            "It is too high, as it was chosen."
        )
        values = {name: best[name] for name in names}
        again = shlex.join(["python", "run.py", "train", *words, *options_of(values)])
        console.print(shown(f"To train with the best values: {again}"), soft_wrap=True)
    console.print(shown(f"  {file}"), soft_wrap=True)


def gain_by_chance(error: float, num_folds: int, num_trials: int) -> float:
    """Return the gain that trials without effect pass in at most 5 % of the searches.

    Student's t with Bonferroni's correction for the number of trials; it neglects that the training images
    of the folds overlap.

    Args:
        error: standard error of the mean gain over the folds.
        num_folds, num_trials: of the search.
    """
    return float(error * stdtrit(num_folds - 1, 1 - 0.05 / num_trials))


def _value(value: object) -> str:
    if value is None or value != value:
        return NOTHING
    return f"{value:.4g}" if isinstance(value, float) else str(value)
