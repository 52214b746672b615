"""Terminal output of preprocessing: a progress bar and the summary of prepared images."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from helpers.settings.outside_text import printable, shown
from preprocessing.errors import name_some
from preprocessing.feed.prepared_data import RGB, PreparedData
from preprocessing.prepare.audit import AUDIT


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar on standard error, if that is a terminal; yield the `progress` of `prepare`."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda step, done, total: bar.update(task, description=step, completed=done, total=total)


def print_summary(prepared: PreparedData) -> None:
    """Print notes of the source, images and patients per split, audit, images left out, and folder."""
    console = Console(highlight=False, soft_wrap=True)
    for note in prepared.manifest.get("notes", ()):
        console.print(shown(note, "bold"))
    patients = prepared.manifest["patients"]
    classes = [escape(printable(f"{label} {name}")) for label, name in enumerate(prepared.class_names)]
    rows = [["split", *classes, "images", *(["patients"] if patients else [])]]
    for name, counts in prepared.counts_by_split().items():
        numbers = [*counts, sum(counts), *([patients[name]] if patients else [])]
        rows.append([name, *map(str, numbers)])
    if len(classes) > 2:  # one row per class: many columns would not fit
        rows = [list(row) for row in zip(*rows, strict=True)]
    table = Table(*rows[0])
    for row in rows[1:]:
        table.add_row(*row)
    console.print(table)
    console.print(_describe_audit(prepared.manifest["audit"], prepared.has_patients))
    left_out = [f"{entry['file']} ({entry['reason']})" for entry in prepared.manifest["left_out"]]
    if left_out:
        console.print(shown(f"Left out, unreadable: {name_some(left_out)}"))
    height, width, channels = prepared.image_shape
    color = "RGB" if channels == RGB else "gray"
    console.print(shown(f"{height}x{width} pixels, {color}, in {prepared.folder}"))
    if license := prepared.manifest.get("license"):
        console.print(shown(f"License of the images: {license}"))


def _describe_audit(counts: dict[str, int], has_patients: bool) -> str:
    names = {
        "exact_duplicates": "exact copies",
        "near_duplicates": "near copies",
        "label_conflicts": "copies in another class",
        "split_copies": "copies in another split",
        "split_patients": "patients in two splits",
    }
    findings = ", ".join(f"{words} {counts[key]}" for key, words in names.items() if counts[key])
    result = f"Audit: {findings}; listed in {AUDIT}" if findings else "Audit: no copies"
    if not has_patients:
        return f"{result}. Patients are unknown, so images of one may be in two splits"
    return result if counts["split_patients"] or findings else f"{result}, no patient in two splits"
