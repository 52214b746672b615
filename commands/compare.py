"""`run.py compare RUN RUN …`: test metrics of several runs in the terminal, and curves as a page."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from commands.runs import FOLDERS
from helpers.global_config import Config
from helpers.reporting.compare_page import page_path, write_page
from helpers.reporting.page import NOTHING, number
from helpers.reporting.pictures import several_shortened
from helpers.reporting.run_files import RunFiles, read_run
from helpers.reporting.summaries import (
    DIFFERENCE,
    check_known,
    doubts,
    metrics_of_runs,
    paired_differences,
    settings_that_differ,
)
from helpers.settings.command_line import ArgumentParser, add_settings, config_from_arguments
from helpers.settings.outside_text import printable

FIRST_COLUMN = 36  # columns of the longest metric name, with "test "
GAP = 2
RUN_COLUMN = 20 + GAP  # columns of a value with its interval


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    parser = ArgumentParser(
        prog="run.py compare",
        description="Compares runs: metrics in the terminal, curves in metrics/compare-….html.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="names of runs, at least two")
    add_settings(parser, Config, only=FOLDERS)
    options = parser.parse_args(arguments)
    if len(set(options.runs)) < 2:
        parser.error("name at least two different runs; `python run.py runs` lists them")
    compare(config_from_arguments(Config, options), options.runs)
    return 0


def compare(config: Config, names: list[str], console: Console | None = None) -> None:
    """Print the test metrics of runs side by side and write metrics/compare-….html.

    The table continues below for runs that the width of the terminal has no room for.

    Raises:
        UnknownRun: a run does not exist.
        UserError: the page could not be written.
    """
    console = console or Console()
    names = list(dict.fromkeys(names))
    check_known(config.METRICS_DIR, names)
    runs = [read_run(config.METRICS_DIR, config.MODELS_DIR, name) for name in names]
    path = page_path(config.METRICS_DIR, names)
    write_page(path, runs)
    at_once = max(1, (console.width - FIRST_COLUMN) // RUN_COLUMN)
    rows = _rows(runs)
    for start in range(0, len(runs), at_once):
        if start:
            console.print()
        columns = range(start, min(start + at_once, len(runs)))
        console.print(_table(runs, rows, columns, (console.width - FIRST_COLUMN) // len(columns) - GAP))
    for sentence in doubts(runs):
        console.print(Text(printable(sentence)))
    console.print(Text(printable(f"  {path}")), soft_wrap=True)


def _rows(runs: list[RunFiles]) -> list[tuple[str, list[str]]]:
    """Name of each row, and its cell for every run."""
    if all(run.is_binary for run in runs):
        rows = [("class 1", [run.class_names[1] for run in runs])]
    else:
        rows = [("classes", [several_shortened(run.class_names) for run in runs])]
    rows += [
        ("rounds", [str(len(run.rounds)) for run in runs]),
        ("best round", [str(run.best_round or NOTHING) for run in runs]),
        ("validation AUC of the best model", [number(run.best_auc) for run in runs]),
    ]
    for name, values in metrics_of_runs(runs):
        rows.append((f"test {name}", [_with_interval(value) for value in values]))
    differences = paired_differences(runs)
    if any(differences):
        keys = {"value": "difference", "low": "low", "high": "high"}
        cells = [
            _with_interval({key: row[of] for key, of in keys.items()}) if row else NOTHING
            for row in differences
        ]
        rows.append((DIFFERENCE, cells))
    return rows + settings_that_differ(runs)


def _table(
    runs: list[RunFiles], rows: list[tuple[str, list[str]]], columns: Sequence[int], width: int
) -> Table:
    """A table of the runs of these indices, each in a column of at most this width."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for column in columns:
        table.add_column(
            Text(printable(runs[column].run), overflow="fold"),
            justify="right",
            overflow="fold",
            max_width=width,
        )
    for name, cells in rows:
        table.add_row(Text(printable(name)), *(Text(printable(cells[column])) for column in columns))
    return table


def _with_interval(cell: Mapping[str, float | None]) -> str:
    value, low, high = (number(cell[name]) for name in ("value", "low", "high"))
    return value if low == NOTHING else f"{value} [{low}, {high}]"
