"""What preprocessing shows in the terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from preprocessing.errors import name_some
from preprocessing.feed.prepared_data import RGB, PreparedData
from preprocessing.prepare.audit import AUDIT


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on standard error, to be handed to `prepare`; nothing where that is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda step, done, total: bar.update(task, description=step, completed=done, total=total)


def print_summary(prepared: PreparedData) -> None:
    """Print what is to be known of the source, images and patients per split, what the audit found, what was
    left out, where the files lie.
    """
    console = Console(highlight=False, soft_wrap=True)
    for note in prepared.manifest.get("notes", ()):
        console.print(note, style="bold", markup=False)
    patients = prepared.manifest["patients"]
    classes = [f"{label} {escape(name)}" for label, name in enumerate(prepared.class_names)]
    lines = [["split", *classes, "images", *(["patients"] if patients else [])]]
    for name, counts in prepared.counts_by_split().items():
        numbers = [*counts, sum(counts), *([patients[name]] if patients else [])]
        lines.append([name, *map(str, numbers)])
    if len(classes) > 2:  # a line for each: side by side there is no room for many
        lines = [list(line) for line in zip(*lines, strict=True)]
    table = Table(*lines[0])
    for line in lines[1:]:
        table.add_row(*line)
    console.print(table)
    console.print(_audit_in_words(prepared.manifest["audit"]))
    left_out = [f"{entry['file']} ({entry['reason']})" for entry in prepared.manifest["left_out"]]
    if left_out:
        console.print(f"Left out, unreadable: {name_some(left_out)}", markup=False)
    height, width, channels = prepared.image_shape
    color = "RGB" if channels == RGB else "gray"
    console.print(f"{height}x{width} pixels, {color}, in {prepared.folder}", markup=False)
    if license := prepared.manifest.get("license"):
        console.print(f"License of the images: {license}", markup=False)


def _audit_in_words(counts: dict[str, int]) -> str:
    names = {
        "exact_duplicates": "exact copies",
        "near_duplicates": "near copies",
        "label_conflicts": "copies in another class",
        "split_copies": "copies in another split",
        "split_patients": "patients in two splits",
    }
    found = ", ".join(f"{words} {counts[key]}" for key, words in names.items() if counts[key])
    return f"Audit: {found}; listed in {AUDIT}" if found else "Audit: no copies, no patient in two splits"
