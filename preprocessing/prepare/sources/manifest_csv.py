"""manifest.csv next to the images: one row per image, identified by its column `file`.

`label` is the class; with it, the images are those that have a row. `patient` and `split` are optional.
All other columns are kept, such as the device or the site. A column with two values for one file does not
describe files and is dropped.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from preprocessing.errors import PreprocessingError, counted, name_some
from preprocessing.feed.prepared_data import LABEL, SPLITS
from preprocessing.prepare.sources.manifest_table import Table, read_table
from preprocessing.prepare.sources.records import ImageRecord

RECORD_COLUMNS = ("patient", "split")
KNOWN_COLUMNS = (LABEL, *RECORD_COLUMNS)
NO_PATIENT = {"", "na", "n/a", "#n/a", "nan", "none", "null", "unknown", "-", "?", "."}
"""What stands for a patient who is not known, as R, pandas and spreadsheets write it, in lower case."""

Columns = dict[str, dict[str, Any]]
"""Text values by column and file, without the column `file`."""


def read_columns(manifest: Path) -> tuple[Columns, list[str]]:
    """Return the columns of manifest.csv, empty if there is no such file, and notes for the user.

    Raises:
        PreprocessingError: not a table, no column for the file, or two rows that contradict each other.
    """
    if not manifest.exists():
        return {}, []
    table = read_table(manifest)
    return _collect(manifest, table), table.notes


def _collect(manifest: Path, table: Table) -> Columns:
    columns: Columns = {name: {} for name in table.names if name not in ("file", "")}
    ambiguous = set()
    for fields in table.rows:
        row = dict(zip(table.names, fields, strict=True))
        file = PurePosixPath(row["file"].replace("\\", "/")).as_posix()
        for name, values in columns.items():
            value = row[name]
            if values.setdefault(file, value) != value:
                if name in KNOWN_COLUMNS:
                    raise PreprocessingError(f"{manifest}: {file} has two {name}s; keep one row for it")
                ambiguous.add(name)
    return {name: values for name, values in columns.items() if name not in ambiguous}


def check_listed(manifest: Path, labels: dict[str, str], present: Iterable[str]) -> None:
    """Check that the column `label` and the images below the folder of manifest.csv match.

    Args:
        manifest: path of manifest.csv.
        labels: its column `label`, by file.
        present: all images below its folder, relative to it.

    Raises:
        PreprocessingError: a row without a label or image, a path outside the folder, or an image without
            a row.
    """
    folder = manifest.parent
    paths = {file: PurePosixPath(file) for file in labels}
    problems = {
        "no label for {}: {}; fill in the column label": [
            file for file, label in labels.items() if not label
        ],
        "{} not below its folder: {}; write paths relative to it, without ..": [
            file for file, path in paths.items() if path.is_absolute() or ".." in path.parts
        ],
        "{} not found: {}; correct the column file, or remove the rows": [
            file for file in labels if not (folder / file).is_file()
        ],
        "no row for {}: {}; add a row with file and label for each, or move the images away": sorted(
            set(present) - labels.keys()
        ),
    }
    for words, files in problems.items():
        if files:
            raise PreprocessingError(
                f"{manifest}: {words.format(counted(len(files), 'image'), name_some(files))}"
            )


def add_columns(manifest: Path, records: Sequence[ImageRecord], columns: Columns) -> list[ImageRecord]:
    """Return the records with patient, split and other columns, as far as manifest.csv has them.

    Raises:
        PreprocessingError: an image without a value for patient or split, or with an unknown split.
    """
    filled = list(records)
    listed = next(iter(columns.values()), {})
    if listed and records and not any(record.file in listed for record in records):
        raise PreprocessingError(
            f"{manifest}: none of its {len(listed)} rows names an image below {manifest.parent}, such as "
            f"{records[0].file}; correct the column file: {name_some(list(listed)[:3])}"
        )
    for column in [name for name in RECORD_COLUMNS if name in columns]:
        values = columns[column]
        nothing = NO_PATIENT if column == "patient" else {""}
        missing = [
            record.file for record in filled if values.get(record.file, "").strip().casefold() in nothing
        ]
        if missing:
            words = sorted({values[file] for file in missing if values.get(file)})
            instead = f" (but {name_some(words)})" if words else ""
            raise PreprocessingError(
                f"{manifest}: no {column} for {counted(len(missing), 'image')}{instead}: "
                f"{name_some(missing)}; add a row with file and {column} for each, or move the images away"
            )
        filled = [replace(record, **{column: values[record.file]}) for record in filled]
    unknown = [f"{item.file} ({item.split})" for item in filled if item.split not in (None, *SPLITS)]
    if unknown:
        raise PreprocessingError(
            f"{manifest}: column split: expected {', '.join(SPLITS)}, "
            f"received something else for {counted(len(unknown), 'image')}: {name_some(unknown)}"
        )
    others = {name: values for name, values in columns.items() if name not in RECORD_COLUMNS}
    if others:
        filled = [
            replace(record, columns={name: values.get(record.file, "") for name, values in others.items()})
            for record in filled
        ]
    return filled
