"""partition.csv: whose images were whose, written where it changes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.federated.results import RunState
from helpers.global_config import Config
from preprocessing.feed.prepared_data import PreparedData
from tasks import round_record
from tasks.round_record import new_partition


class Data(PreparedData):
    """Six images of three patients at two devices; there is the manifest alone."""

    def labels(self, split: str) -> np.ndarray:
        return np.array([0, 1, 0, 1, 0, 1], np.int32)


FILES = [
    {"file": f"{row % 2}/{row}.png", "split": "train", "row": row, "patient": "ppqqrr"[row],
     "group": row // 2, "columns": {"device": "GE" if row > 1 else "Aloka"}}
    for row in range(6)
]  # fmt: skip


def partition_of(
    patch: pytest.MonkeyPatch, num_clients: int, before: int | None = None, **settings: Any
) -> pd.DataFrame:
    """Return the rows of a round with `num_clients` clients after one with `before` clients."""
    state = RunState("r", 6, "", None, None, None, partition_clients=before)
    patch.setattr(round_record, "read_state", lambda folders: (state, {}))
    data = Data(Path(), {"files": FILES}, "")
    context: Any = SimpleNamespace(data=data, config=Config(**settings), folders=None)
    order: Any = SimpleNamespace(round=7, num_clients=num_clients)
    return pd.DataFrame(new_partition(context, order))


def test_every_row_has_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    table = partition_of(monkeypatch, 2, PARTITION="site", SITE_COLUMN="device")
    assert list(table.columns) == ["round", "file", "client", "label", "patient", "site"]
    assert set(table["round"]) == {7}
    assert table["file"].tolist() == [entry["file"] for entry in FILES]
    assert table["client"].tolist() == [0, 0, 1, 1, 1, 1]
    assert table["label"].tolist() == [0, 1, 0, 1, 0, 1]
    assert table["patient"].tolist() == list("ppqqrr")
    assert table["site"].tolist() == ["Aloka"] * 2 + ["GE"] * 4


def test_there_are_rows_where_the_number_of_clients_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    table = partition_of(monkeypatch, 3, before=2)
    assert table.groupby("patient")["client"].nunique().tolist() == [1, 1, 1]
    assert table["client"].nunique() == 3
    assert table["site"].isna().all()
    assert partition_of(monkeypatch, 3, before=3).empty
