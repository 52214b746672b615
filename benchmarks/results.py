"""Results on disk: CSV, a Markdown page and plots, rewritten after every part."""

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
    """Write everything measured so far.

    Args:
        folder: made if absent; receives results.csv, targets.csv, machine.json, results.md and PNGs.
        records: one for each part.
        machine: see `machine.describe`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    measurements = [row for record in records for row in record.measurements]
    targets = [row for record in records for row in record.targets]
    write_whole(folder / "results.csv", to_csv(pd.DataFrame([_row(row) for row in measurements])))
    write_whole(folder / "targets.csv", to_csv(pd.DataFrame([_target_row(row) for row in targets])))
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


def _row(row: Measurement) -> dict[str, Any]:
    return {
        "part": row.part,
        "what": row.what,
        "contender": row.contender,
        "unit": row.unit,
        "median": row.median,
        "min": min(row.values),
        "max": max(row.values),
        "reference": row.reference,
        "ratio": row.ratio,
        "values": " ".join(f"{value:.6g}" for value in row.values),
    }


def _target_row(row: Target) -> dict[str, Any]:
    return {
        "part": row.part,
        "target": row.asked,
        "asked": row.bound,
        "measured": row.measured,
        "unit": row.unit,
        "verdict": row.verdict,
    }


def _head(machine: dict[str, Any]) -> list[str]:
    facts = "\n".join(f"- {name}: {value}" for name, value in machine.items())
    return [f"# Measured on {machine['started'][:10]}", "What each number is: benchmarks/README.md.", facts]


def _tables(records: Sequence[Record]) -> list[str]:
    targets = [
        (row.part, row.asked, row.bound, _number(row.measured, row.unit), row.verdict)
        for record in records
        for row in record.targets
    ]
    parts = ["## Targets", table(("part", "target", "asked", "measured", ""), targets)]
    for record in records:
        rows = [
            (
                row.what,
                row.contender,
                _number(row.median, row.unit),
                f"{shown(min(row.values))}–{shown(max(row.values))}",
                str(len(row.values)),
                "" if row.ratio is None else f"{row.ratio:.3f} × {row.reference}",
            )
            for row in record.measurements
        ]
        head = ("what", "contender", "median", "min–max", "values", "against the reference")
        parts += [f"## {record.part}", table(head, rows), *(f"Note: {note}." for note in record.notes)]
    return parts


def _number(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{shown(value)} {unit}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
