"""Tolerant readers of a run's files: a missing file is empty, an unreadable one is listed."""

import json
import zipfile
from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.run_records.tables import OUTSIDE, OWN_TEXT
from helpers.settings.outside_text import from_cell

OTHER_TEXT = ("client", "kind", "other", "detail", "split", "note", "threshold_is", "model_digest")
TEXT_COLUMNS = frozenset((*OUTSIDE, *OWN_TEXT, *OTHER_TEXT))


def read_csv(path: Path | None, columns: Sequence[str], unreadable: list[str]) -> pd.DataFrame:
    """Read a CSV file with at least `columns`: TEXT_COLUMNS as text, others as float."""
    table = pd.DataFrame(dtype=str)
    if path is not None and path.exists():
        try:
            table = _read(path)
        except (OSError, ValueError) as error:
            unreadable.append(f"{path.name} could not be read: {error}")
    names = [*table.columns, *(name for name in columns if name not in table.columns)]
    table = table.reindex(columns=names, fill_value="")
    for name in table.columns:
        if name in TEXT_COLUMNS:
            table[name] = table[name].map(from_cell)
        else:
            table[name] = pd.to_numeric(table[name], errors="coerce").astype(float)
    return table


def _read(path: Path) -> pd.DataFrame:
    """Read a CSV file with numbers as such, in a fifth of the memory; as text if a cell is none."""
    kinds: defaultdict[Hashable, Any] = defaultdict(lambda: float, dict.fromkeys(TEXT_COLUMNS, str))
    try:
        table = pd.read_csv(path, dtype=kinds, keep_default_na=False, na_values=[""])
    except ValueError:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    texts = [name for name in table.columns if name in TEXT_COLUMNS]
    return table.fillna(dict.fromkeys(texts, ""))


def read_json(path: Path, unreadable: list[str]) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        unreadable.append(f"{path.name} could not be read: {error}")
        return {}
    if not isinstance(content, dict):
        unreadable.append(f"{path.name} is not a JSON object")
        return {}
    return content


def read_arrays(path: Path, unreadable: list[str]) -> dict[str, NDArray[Any]]:
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        unreadable.append(f"{path.name} could not be read: {error}")
        return {}
