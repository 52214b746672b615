"""`python run.py compare RUN RUN …`: metrics of runs in the terminal, with curves as a page."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from helpers.global_config import Config
from helpers.reporting.compare_page import page_path, write_page
from helpers.reporting.page import NOTHING, number
from helpers.reporting.pictures import several_shortened
from helpers.reporting.run_files import RunFiles, read_run
from helpers.reporting.summaries import check_known, doubts, metrics_beside, settings_that_differ


def compare(config: Config, names: list[str], console: Console | None = None) -> None:
    """Print the test metrics of runs beside each other and write metrics/compare-….html.

    Raises:
        UnknownRun: there is no run of one of these names.
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
