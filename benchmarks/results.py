"""Results on disk: CSV, one Markdown page, plots; written anew after every part."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.plots import plot_curve, plot_part, plot_targets
from benchmarks.records import Measurement, Record, Target, shown
from helpers.run_records.files import write_whole
from helpers.run_records.tables import to_csv


def write_results(folder: Path, records: Sequence[Record], machine: dict[str, Any]) -> None:
    """Write all that has been measured so far.

    Args:
        folder: made when absent; gets results.csv, targets.csv, machine.json, results.md and PNGs.
        records: a part each.
        machine: see `machine.describe`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    measurements = [found for record in records for found in record.measurements]
    targets = [found for record in records for found in record.targets]
    write_whole(folder / "results.csv", to_csv(pd.DataFrame([_row(found) for found in measurements])))
    write_whole(folder / "targets.csv", to_csv(pd.DataFrame([_target_row(found) for found in targets])))
    write_whole(folder / "machine.json", (json.dumps(machine, indent=1, ensure_ascii=False) + "\n").encode())
    pictures = ["targets.png"]
    plot_targets(folder / pictures[0], targets)
    for record in records:
        pictures.append(f"{record.part}.png")
        plot_part(folder / pictures[-1], record.measurements)
        for number, curve in enumerate(record.curves, 1):
            pictures.append(f"{record.part}-{number}.png")
            plot_curve(folder / pictures[-1], curve)
    page = "\n\n".join([*_head(machine), *_tables(records), *(f"![{name}]({name})" for name in pictures)])
    write_whole(folder / "results.md", (page + "\n").encode())


def _row(found: Measurement) -> dict[str, Any]:
    return {
        "part": found.part,
        "what": found.what,
        "contender": found.contender,
        "unit": found.unit,
        "median": found.median,
        "min": min(found.values),
        "max": max(found.values),
        "reference": found.reference,
        "ratio": found.ratio,
        "values": " ".join(f"{value:.6g}" for value in found.values),
    }


def _target_row(found: Target) -> dict[str, Any]:
    return {
        "part": found.part,
        "target": found.asked,
        "asked": found.bound,
        "measured": found.measured,
        "unit": found.unit,
        "verdict": found.verdict,
    }


def _head(machine: dict[str, Any]) -> list[str]:
    facts = "\n".join(f"- {name}: {value}" for name, value in machine.items())
    return [f"# Measured on {machine['started'][:10]}", "What each number is: benchmarks/README.md.", facts]


def _tables(records: Sequence[Record]) -> list[str]:
    targets = [
        (found.part, found.asked, found.bound, _number(found.measured, found.unit), found.verdict)
        for record in records
        for found in record.targets
    ]
    parts = ["## Targets", table(("part", "target", "asked", "measured", ""), targets)]
    for record in records:
        rows = [
            (
                found.what,
                found.contender,
                _number(found.median, found.unit),
                f"{shown(min(found.values))}–{shown(max(found.values))}",
                str(len(found.values)),
                "" if found.ratio is None else f"{found.ratio:.3f} × {found.reference}",
            )
            for found in record.measurements
        ]
        head = ("what", "who", "median", "min–max", "values", "against the reference")
        parts += [f"## {record.part}", table(head, rows), *(f"Note: {note}." for note in record.notes)]
    return parts


def _number(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{shown(value)} {unit}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
