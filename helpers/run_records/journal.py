"""Tables of a run: the run's own record of each, next to its weights, and the CSV file, a copy for people.

A spreadsheet may rewrite a CSV file in the middle of a run; it is then replaced, with a notice.
"""

import csv
import io
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.federated.results import RunState
from helpers.run_records.checkpoint import read_record, save_record
from helpers.run_records.files import RecordError, RunFolders, mapped, write_whole
from helpers.run_records.tables import (
    CLASS_COLUMNS,
    CLIENT_COLUMNS,
    PARTITION_COLUMNS,
    ROUND_COLUMNS,
    read_table,
    to_csv,
    value_of,
)
from helpers.weight_store.codec import Buffer

Rows = dict[str, list[dict[str, Any]]]
"""Rows of each table, by the name of its CSV file."""

TABLES = {
    "rounds.csv": ROUND_COLUMNS,
    "clients.csv": CLIENT_COLUMNS,
    "classes.csv": CLASS_COLUMNS,
    "partition.csv": PARTITION_COLUMNS,
}

CHANGED = (
    "%s was changed by another program; it is replaced by the run's own record. Edit a copy of it instead"
)

logger = logging.getLogger(__name__)


def add_rows(
    folders: RunFolders, round_number: int, records: Mapping[str, str], rows: Rows
) -> dict[str, str]:
    """Write new records with the rows of a round at their ends; return the names of all records, by table.

    Other values of a row than the columns of its table are dropped. Memory does not grow with the records.

    Raises:
        RecordError: a record is missing or damaged, or could not be written.
    """
    records = dict(records)
    for name, new in rows.items():
        if new:
            before = [read_record(folders, records[name], mapped)] if name in records else []
            lines = to_csv(pd.DataFrame(new, columns=TABLES[name], dtype=object), header=not before)
            stem = f"tables-{Path(name).stem}-{round_number:04d}"
            records[name] = save_record(folders, stem, ".csv", [*before, lines])
    return records


def read_rows(folders: RunFolders, record: str | None) -> list[dict[str, Any]]:
    """Return the rows of a record; none without one.

    Raises:
        RecordError: the record is missing or damaged.
    """
    if record is None:
        return []
    text = bytes(read_record(folders, record)).decode()
    rows = csv.DictReader(io.StringIO(text, newline=""))
    return [{name: value_of(name, cell) for name, cell in row.items()} for row in rows]


def write_csv_files(folders: RunFolders, records: Mapping[str, str]) -> None:
    """Write every CSV file that differs from its record, with a notice if another program has changed it.

    A file that lacks the last rows, or has more of them, is one that a killed process left.

    Raises:
        RecordError: a record is missing or damaged, or a file could not be written.
    """
    for name, record in records.items():
        path, wanted = folders.metrics / name, read_record(folders, record, mapped)
        is_same, is_changed = _compared(path, wanted)
        if is_changed:
            logger.warning(CHANGED, path)
        if not is_same:
            write_whole(path, wanted)


def _compared(path: Path, wanted: Buffer) -> tuple[bool, bool]:
    """Return whether a file is as wanted, and whether it differs by more than rows at its end."""
    present = mapped(path)  # until this function returns: Windows replaces no file that is mapped
    shared = min(len(wanted), len(present))
    is_changed = wanted[:shared] != present[:shared]
    return not is_changed and len(wanted) == len(present), is_changed


def records_to_resume(folders: RunFolders, state: RunState) -> dict[str, str]:
    """Return the records of a run; those of an earlier version get the present columns.

    Raises:
        RecordError: a record is missing or damaged, or could not be written.
    """
    if state.tables:
        old = {name: file for name, file in state.tables.items() if _header(folders, file) != TABLES[name]}
        kept = {name: file for name, file in state.tables.items() if name not in old}
        return add_rows(folders, state.round, kept, {name: read_rows(folders, old[name]) for name in old})
    if state.tables_file:
        return add_rows(folders, state.round, {}, json.loads(bytes(read_record(folders, state.tables_file))))
    return add_rows(folders, state.round, {}, _rows_of_csv_files(folders, state.round))


def _header(folders: RunFolders, record: str) -> list[str]:
    text = bytes(read_record(folders, record)).decode()
    return text[: text.index("\n")].split(",")


def _rows_of_csv_files(folders: RunFolders, last_round: int) -> Rows:
    """Return the rows of a run of version 0.1.0, which has no other record, up to a round. Cells are text."""
    rows: dict[str, Any] = {}
    for name, columns in TABLES.items():
        table = read_table(folders.metrics / name, columns)
        try:
            table["round"] = table["round"].astype(int)
        except (KeyError, ValueError) as error:
            raise RecordError(
                f"{folders.metrics / name} was changed by another program: its column `round` is missing or "
                "not whole numbers. Restore the file from a copy"
            ) from error
        rows[name] = table[table["round"] <= last_round].to_dict("records")
    return rows
