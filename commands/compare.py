"""`run.py compare RUN RUN …`: metrics of runs in the terminal, curves in a page."""

import argparse
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from commands.runs import FOLDERS
from helpers.global_config import Config, add_settings, config_from_arguments
from helpers.reporting.comparison import page_path, write_page
from helpers.reporting.page import NOTHING, number
from helpers.reporting.pictures import several_shortened
from helpers.reporting.run_files import RunFiles, read_run
from helpers.reporting.summaries import check_known, doubts, metrics_beside, settings_that_differ


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="run.py compare",
        description="Compares runs: metrics in the terminal, curves in metrics/compare-….html.",
        allow_abbrev=False,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="names of runs, at least two")
    add_settings(parser, only=FOLDERS)
    options = parser.parse_args(arguments)
    if len(set(options.runs)) < 2:
        parser.error("name at least two different runs; `python run.py runs` lists them")
    compare(config_from_arguments(options), options.runs)
    return 0


def compare(config: Config, names: list[str], console: Console | None = None) -> None:
    """Print the test metrics of runs side by side and write metrics/compare-….html.

    Raises:
        UnknownRun: a run of one of these names does not exist.
        UserError: the page could not be written.
    """
    console = console or Console()
    names = list(dict.fromkeys(names))
    check_known(config.METRICS_DIR, names)
    runs = [read_run(config.METRICS_DIR, config.MODELS_DIR, name) for name in names]
    path = page_path(config.METRICS_DIR, names)
    write_page(path, runs)
    console.print(_table(runs))
    for sentence in doubts(runs):
        console.print(Text(sentence))
    console.print(Text(f"  {path}"), soft_wrap=True)


def _table(runs: list[RunFiles]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for run in runs:
        table.add_column(Text(run.run, overflow="fold"), justify="right")
    if all(run.is_binary for run in runs):
        table.add_row("class 1", *(Text(run.class_names[1]) for run in runs))
    else:
        table.add_row("classes", *(Text(several_shortened(run.class_names)) for run in runs))
    table.add_row("rounds", *(str(len(run.rounds)) for run in runs))
    table.add_row("best round", *(str(run.best_round or "–") for run in runs))
    table.add_row("best validation AUC", *(number(run.rounds["roc_auc"].max()) for run in runs))
    for name, values in metrics_beside(runs):
        table.add_row(f"test {name}", *(Text(_with_interval(value)) for value in values))
    for name, settings in settings_that_differ(runs):
        table.add_row(Text(name), *(Text(value) for value in settings))
    return table


def _with_interval(cell: dict[str, float]) -> str:
    value, low, high = (number(cell[name]) for name in ("value", "low", "high"))
    return value if low == NOTHING else f"{value} [{low}, {high}]"
