"""`run.py runs`: a table of all runs, by images and validation. Fits 80 columns."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from helpers.global_config import Config
from helpers.reporting.page import number
from helpers.reporting.summaries import CLASS_MEANS, Summary, summarize
from helpers.settings.command_line import ArgumentParser, add_settings, config_from_arguments
from helpers.settings.outside_text import shown

CAUTION = (
    "To choose among runs, use the validation AUC: choosing by test AUC makes the best test look too good."
)
FOLDERS = ("METRICS_DIR", "MODELS_DIR")
"""The settings that say where runs are stored."""
HEADERS = ("run", "test\nAUC", "best\nval AUC", "rounds", "clients", "date", "state")


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    parser = ArgumentParser(
        prog="run.py runs",
        description="Lists all runs: those on the same images together, best validation first.",
    )
    add_settings(parser, Config, only=FOLDERS)
    runs(config_from_arguments(Config, parser.parse_args(arguments)))
    return 0


def runs(config: Config, console: Console | None = None) -> None:
    """Print the runs in METRICS_DIR: those on the same images together, best validation AUC first.

    Further lines name the runs whose AUC is a mean over classes, and warn against choosing by test.
    """
    console = console or Console()
    summaries = summarize(config.METRICS_DIR, config.MODELS_DIR)
    if not summaries:
        text = f"no run in {config.METRICS_DIR} yet: start one with python distributed_training_index.py"
        console.print(shown(text), soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False)
    for header in HEADERS:
        is_text = header in ("run", "date", "state")
        table.add_column(
            header, justify="left" if is_text else "right", overflow="fold", no_wrap=header != "run"
        )
    for before, summary in zip([None, *summaries], summaries, strict=False):
        if before is not None and before.data_digest != summary.data_digest:
            table.add_row("")  # other images
        table.add_row(*(shown(cell) for cell in _cells(summary)))  # Text: a name may look like markup
    console.print(table)
    if len({summary.data_digest for summary in summaries}) > 1:
        console.print("Runs between empty lines have the same images. Others cannot be compared with them.")
    if best := [summary.run for summary in summaries if summary.is_best]:
        console.print(f"Best by validation, on equal images: {', '.join(best)}.", markup=False)
    if several := [summary.run for summary in summaries if not summary.is_binary]:
        console.print(shown(CLASS_MEANS.format(runs=", ".join(several))))
    if sum(summary.is_finished for summary in summaries) > 1:
        console.print(CAUTION)


def _cells(summary: Summary) -> list[str]:
    rounds = f"{summary.rounds}/{summary.planned}" if summary.planned else str(summary.rounds)
    aucs = [number(summary.test_auc), number(summary.best_validation_auc)]
    return [summary.run, *aucs, rounds, str(summary.clients), summary.date, summary.state]
