"""The page docs/results.md with its pictures, runs.csv and a person's conclusions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.results import table
from helpers.run_records.files import write_whole
from helpers.run_records.tables import to_csv
from studies.learning_curves import draw_curves
from studies.outcomes import Outcome

MACHINE = ("commit", "uncommitted changes", "processor", "cores", "memory_gb", "gpu", "system", "python")
"""Facts of `machine.describe` that the page shows. Versions of packages come from the runs."""


@dataclass(frozen=True)
class Section:
    """A question and its answer in numbers.

    Attributes:
        name: of its picture.
        title: its heading.
        parts: Markdown paragraphs and tables.
        panels: of the picture: by title, cases with an outcome for each seed.
    """

    name: str
    title: str
    parts: Sequence[str]
    panels: Mapping[str, Sequence[Sequence[Outcome]]] = field(default_factory=dict)


def write_page(
    path: Path,
    head: Sequence[str],
    sections: Sequence[Section],
    options: Mapping[str, Sequence[str]],
    level: float,
) -> None:
    """Write the page. All files are made before the first is written, and the page is written last.

    Args:
        path: of the page. The same folder has `<stem>-conclusions.md`, which only a person writes, and
            the folder `<stem>` with pictures and runs.csv.
        head: Markdown before the sections.
        sections: in order.
        options: of every training, by title.
        level: validation ROC-AUC to be reached.

    Raises:
        RecordError: a file could not be written.
    """
    folder = path.with_suffix("")
    parts = list(head)
    files: dict[Path, bytes] = {folder / "runs.csv": to_csv(runs_table(sections, level))}
    for section in sections:
        parts += [f"## {section.title}", *section.parts]
        if section.panels:
            picture = folder / f"{section.name}.png"
            files[picture] = draw_curves(section.panels, level)
            parts.append(f"![Validation AUC by round: {section.title}]({folder.name}/{picture.name})")
    rows = [(title, f"`{' '.join(words)}`") for title, words in options.items()]
    parts += ["## Options of every training", table(["", "in addition to the common ones"], rows)]
    parts += ["## Conclusions", conclusions(path.with_name(f"{path.stem}-conclusions.md"))]
    page = ("\n\n".join(parts) + "\n").encode()
    for file, data in files.items():
        write_whole(file, data)
    write_whole(path, page)


def conclusions(path: Path) -> str:
    """Return what a person wrote. This program never writes that file."""
    written = path.read_text(encoding="utf-8").strip() if path.exists() else ""
    return written or f"Not written yet. The text of {path.name} appears here."


def facts(
    command: str, machine: Mapping[str, Any], ones: Sequence[Outcome], settings: Mapping[str, str]
) -> str:
    """Return command, machine, settings and versions as a list."""
    versions = sorted({tuple(sorted(one.files.versions.items())) for one in ones})
    lines = [f"command: `{command}`", *(f"{name}: {value}" for name, value in settings.items())]
    lines += [f"{name}: {machine[name]}" for name in MACHINE]
    lines += ["versions: " + ", ".join(f"{name} {value}" for name, value in each) for each in versions]
    if len(versions) > 1:
        lines.append("**Caution: not all runs were made with the same versions.**")
    return "\n".join(f"- {line}" for line in lines)


def runs_table(sections: Sequence[Section], level: float) -> pd.DataFrame:
    """Return a row for each run that a picture shows."""
    rows = {
        one.files.run: _row(one, level)
        for section in sections
        for cases in section.panels.values()
        for ones in cases
        for one in ones
    }
    return pd.DataFrame(list(rows.values()), dtype=object)


def _row(one: Outcome, level: float) -> dict[str, Any]:
    test = one.files.test
    names = ("roc_auc", "roc_auc_low", "roc_auc_high", "sensitivity_at_90_specificity")
    return {
        "run": one.files.run,
        "case": one.title,
        "seed": one.seed,
        **{f"test_{name}": test.get(name) for name in names},
        "best_round": one.files.best_round,
        "best_val_roc_auc": one.best_validation,
        f"rounds_to_{level:g}": one.rounds_to(level),
        "megabytes_a_round": one.megabytes,
        "seconds_a_round": one.seconds,
    }
