"""Tables of a run, kept twice: as CSV files for people, and as copies that state.json names.

A spreadsheet may rewrite a CSV file in the middle of a run. Rounds are therefore added to the copies, and
a CSV file that differs from its copy is replaced.
"""

import hashlib
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.run_records.files import RecordError, RunFolders, write_whole
from helpers.run_records.tables import (
    CLASS_COLUMNS,
    CLIENT_COLUMNS,
    PARTITION_COLUMNS,
    ROUND_COLUMNS,
    parse_table,
    read_table,
    to_csv,
    trimmed,
)

TABLES = {
    "rounds.csv": ROUND_COLUMNS,
    "clients.csv": CLIENT_COLUMNS,
    "classes.csv": CLASS_COLUMNS,
    "partition.csv": PARTITION_COLUMNS,
}
COPIES = "tables"
"""Key of the copies' names in state.json, by CSV file. Runs of version 0.1.0 lack it."""

REPLACED = (
    "%s was changed by another program; it is replaced by the run's own record. Edit a copy of it instead"
)

logger = logging.getLogger(__name__)


def add_rows(
    folders: RunFolders, facts: Mapping[str, Any], name: str, round_number: int, rows: list[dict[str, Any]]
) -> str:
    """Add rows to the table `name`, in place of those of that round or a later one; return its copy.

    `facts` are those of state.json. A value of None is written as empty.

    Raises:
        RecordError: the table could not be read or written.
    """
    kept = trimmed(_committed_table(folders, facts, name), round_number - 1, folders.metrics / name)
    added = pd.DataFrame(rows, columns=TABLES[name], dtype=object)
    return _write(folders, name, round_number, to_csv(pd.concat([kept, added])))


def add_round(
    folders: RunFolders, facts: dict[str, Any], round_number: int, rows: Mapping[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    """Add a round's rows, by CSV file, to the tables; return the facts with the copies to commit.

    Raises:
        RecordError: a table could not be read or written.
    """
    copies = dict(facts.get(COPIES, {}))
    repair(folders, facts)
    if pending := _pending(folders, copies, round_number):
        copies["partition.csv"] = pending
    for name, of_round in rows.items():
        if of_round:
            copies[name] = add_rows(folders, facts, name, round_number, of_round)
    return {**facts, COPIES: copies}


def restore(folders: RunFolders, facts: Mapping[str, Any], last_round: int) -> dict[str, str]:
    """Make the CSV files those of the last committed round; return their copies, to be committed.

    Raises:
        RecordError: a table is damaged and has no copy, as in a run of version 0.1.0.
    """
    if COPIES not in facts:
        return {
            name: _write(folders, name, last_round, to_csv(trimmed(table, last_round, path)))
            for name, columns in TABLES.items()
            if (path := folders.metrics / name).exists()
            for table in [read_table(path, columns)]
        }
    copies = dict(facts[COPIES])
    repair(folders, facts)
    for name in TABLES:
        path = folders.metrics / name
        if name in copies:
            _write_changed(path, _committed(folders, name, copies[name]))
        else:
            path.unlink(missing_ok=True)
    return copies


def repair(folders: RunFolders, facts: Mapping[str, Any]) -> None:
    """Replace each CSV file that no longer begins with what was committed, with a notice in the log."""
    for name, copy in facts.get(COPIES, {}).items():
        path, committed = folders.metrics / name, _committed(folders, name, copy)
        if not (_read(path) or b"").startswith(committed):
            logger.warning(REPLACED, path)
            write_whole(path, committed)


def forget(folders: RunFolders, copies: Mapping[str, str]) -> None:
    """Delete the copies that state.json no longer names."""
    for file in folders.models.glob("*-????-*.csv"):
        if file.name not in copies.values():
            file.unlink(missing_ok=True)


def _committed_table(folders: RunFolders, facts: Mapping[str, Any], name: str) -> pd.DataFrame:
    """Return the table as of the last committed round, as text."""
    path = folders.metrics / name
    if COPIES not in facts:
        return read_table(path, TABLES[name])
    copy = facts[COPIES].get(name)
    if copy is None:
        return pd.DataFrame(columns=TABLES[name])
    return parse_table(io.BytesIO(_committed(folders, name, copy)), path)


def _committed(folders: RunFolders, name: str, copy: str) -> bytes:
    """Return the bytes of a CSV file as of the last committed round; RecordError if they are lost."""
    data, path = _read(folders.models / copy), folders.metrics / name
    if data is None or not _is_named(copy, data):
        try:
            data = to_csv(trimmed(read_table(path, TABLES[name]), int(copy.split("-")[1]), path))
        except (RecordError, ValueError, IndexError):
            data = None
    if data is None or not _is_named(copy, data):
        raise RecordError(f"{folders.models / copy} is missing or damaged, and so is {path}")
    return data


def _pending(folders: RunFolders, copies: Mapping[str, str], round_number: int) -> str | None:
    """Return the copy of partition.csv that this round has written and no round has committed."""
    files = folders.models.glob(f"partition-{round_number:04d}-*.csv")
    for file in sorted(files, key=lambda file: file.stat().st_mtime_ns, reverse=True):
        data = _read(file)
        if file.name != copies.get("partition.csv") and data is not None and _is_named(file.name, data):
            _write_changed(folders.metrics / "partition.csv", data)
            return file.name
    return None


def _write(folders: RunFolders, name: str, round_number: int, data: bytes) -> str:
    """Write a CSV file and its copy; return the copy's name."""
    copy = f"{Path(name).stem}-{round_number:04d}-{_digest(data)}.csv"
    _write_changed(folders.models / copy, data)
    _write_changed(folders.metrics / name, data)
    return copy


def _write_changed(path: Path, data: bytes) -> None:
    if _read(path) != data:
        write_whole(path, data)


def _read(path: Path) -> bytes | None:
    """Return the content of a file; None if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def _is_named(copy: str, data: bytes) -> bool:
    """Return whether a copy's name has the digest of these bytes."""
    return copy.endswith(f"-{_digest(data)}.csv")
