"""Rows of a run's CSV files. The CSV files are for people: they are written from the rows and not read back.

A spreadsheet may rewrite a CSV file in the middle of a run; it is then replaced, with a notice.
"""

import json
import logging
from typing import Any

import pandas as pd

from helpers.run_records.checkpoint import read_record, save_record
from helpers.run_records.files import RecordError, RunFolders, remove, write_whole
from helpers.run_records.tables import (
    CLASS_COLUMNS,
    CLIENT_COLUMNS,
    PARTITION_COLUMNS,
    ROUND_COLUMNS,
    read_table,
    to_csv,
)

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


def with_round(rows: Rows, round_number: int, of_round: Rows) -> Rows:
    """Return the rows up to a round. New rows of this round, `of_round`, replace those of the same table.

    Other values of a new row than the columns of its table are dropped.
    """
    together: Rows = {}
    for name, columns in TABLES.items():
        new = [{column: row.get(column) for column in columns} for row in of_round.get(name, [])]
        last = round_number - 1 if new else round_number
        together[name] = [row for row in rows.get(name, []) if row["round"] <= last] + new
    return together


def read_rows(folders: RunFolders, file: str | None) -> Rows:
    """Return the rows in the file that state.json names; those of the CSV files if it names none.

    Raises:
        RecordError: the file is missing or damaged.
    """
    if file is None:
        return _rows_of_csv_files(folders)
    rows: Rows = json.loads(read_record(folders, file))
    return rows


def save_rows(folders: RunFolders, round_number: int, rows: Rows) -> str:
    """Write the rows; return the file's name.

    Raises:
        RecordError: the file could not be written.
    """
    return save_record(folders, f"tables-{round_number:04d}", ".json", [json.dumps(rows).encode()])


def write_csv_files(folders: RunFolders, rows: Rows) -> None:
    """Write every CSV file that differs from the rows, with a notice if another program has changed it.

    A file that lacks the last rows, or has more of them, is one that a killed process left.

    Raises:
        RecordError: a file could not be written.
    """
    for name, columns in TABLES.items():
        path = folders.metrics / name
        found = path.read_bytes() if path.exists() else b""
        table = pd.DataFrame(rows.get(name, []), columns=columns, dtype=object)
        wanted = to_csv(table) if len(table) else b""
        if found == wanted:
            continue
        if not (wanted.startswith(found) or found.startswith(wanted)):
            logger.warning(CHANGED, path)
        if wanted:
            write_whole(path, wanted)
        else:
            remove(path)


def _rows_of_csv_files(folders: RunFolders) -> Rows:
    """Return the rows of a run of version 0.1.0, which kept no others. Cells are text, apart from rounds."""
    tables = {name: read_table(folders.metrics / name, columns) for name, columns in TABLES.items()}
    for name, table in tables.items():
        try:
            table["round"] = table["round"].astype(int)
        except (KeyError, ValueError) as error:
            raise RecordError(
                f"{folders.metrics / name} was changed by another program: its column `round` is missing or "
                "not whole numbers. Restore the file from a copy"
            ) from error
    rows: dict[str, Any] = {name: table.to_dict("records") for name, table in tables.items()}
    return rows
