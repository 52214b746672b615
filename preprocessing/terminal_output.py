"""What preprocessing shows in the terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from preprocessing.errors import name_some
from preprocessing.prepared_data import PreparedData


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, to be handed to `prepare`; nothing where that is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("Reading images"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def print_summary(prepared: PreparedData) -> None:
    """Print the number of images per split and class, what was left out, and where the files lie."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table("split", "0 non-cancerous", "1 cancerous", "images")
    for name, counts in prepared.manifest["counts"].items():
        table.add_row(name, str(counts["0"]), str(counts["1"]), str(sum(counts.values())))
    console.print(table)
    left_out = [f"{entry['file']} ({entry['reason']})" for entry in prepared.manifest["left_out"]]
    if left_out:
        console.print(f"Left out, unreadable: {name_some(left_out)}", markup=False)
    height, width = prepared.manifest["settings"]["INPUT_SHAPE"]
    console.print(f"{height}x{width} pixels, in {prepared.folder}", markup=False)
