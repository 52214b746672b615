"""manifest.csv next to the images: one row per image, identified by its column `file`.

`label` is the class; with it, the images are those that have a row. `patient` and `split` are optional.
All other columns are kept, such as the device or the site. A column with two values for one file does not
describe files and is dropped.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from preprocessing.errors import PreprocessingError, counted, name_some
from preprocessing.feed.prepared_data import SPLITS
from preprocessing.prepare.sources.records import ImageRecord

MANIFEST = "manifest.csv"
LABEL = "label"
RECORD_COLUMNS = ("patient", "split")
KNOWN_COLUMNS = (LABEL, *RECORD_COLUMNS)

Columns = dict[str, dict[str, Any]]
"""Text values by column and file, without the column `file`."""


def read_columns(manifest: Path) -> Columns:
    """Return the columns of manifest.csv, empty if there is no such file.

    Raises:
        PreprocessingError: not a UTF-8 CSV file, no column `file`, or two rows that contradict each other.
    """
    if not manifest.exists():
        return {}
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines)
            names = rows.fieldnames or ()
            known = [name for name in KNOWN_COLUMNS if name in names]
            if known and "file" not in names:
                raise PreprocessingError(
                    f"{manifest}: has a column {' and '.join(known)} but no column file; "
                    "add it (0/image.png, …)"
                )
            return _collect(manifest, [name for name in names if name not in ("file", "")], rows)
    except (csv.Error, UnicodeDecodeError) as error:
        raise PreprocessingError(f"{manifest}: {error}; save it as a UTF-8 CSV file") from None


def _collect(manifest: Path, names: list[str], rows: Iterable[dict[str, Any]]) -> Columns:
    columns: Columns = {name: {} for name in names}
    ambiguous = set()
    for row in rows:
        if "file" not in row:
            return {}
        file = PurePosixPath((row["file"] or "").strip().replace("\\", "/")).as_posix()
        for name, values in columns.items():
            value = (row[name] or "").strip()
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
    for column in [name for name in RECORD_COLUMNS if name in columns]:
        values = columns[column]
        missing = [record.file for record in filled if not values.get(record.file)]
        if missing:
            raise PreprocessingError(
                f"{manifest}: no {column} for {counted(len(missing), 'image')}: "
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
