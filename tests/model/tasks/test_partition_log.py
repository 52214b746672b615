"""partition.csv: whose images were whose, written where it changes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from helpers.global_config import Config
from preprocessing.feed.prepared_data import PreparedData
from tasks.partition_log import record_partition


class Data(PreparedData):
    """Six images of three patients at two devices; there is the manifest alone."""

    def labels(self, split: str) -> np.ndarray:
        return np.array([0, 1, 0, 1, 0, 1], np.int32)


FILES = [
    {"file": f"{row % 2}/{row}.png", "split": "train", "row": row, "patient": "ppqqrr"[row],
     "group": row // 2, "columns": {"device": "GE" if row > 1 else "Aloka"}}
    for row in range(6)
]  # fmt: skip


def context_of(folder: Path, **settings: Any) -> Any:
    data = Data(folder, {"files": FILES}, "")
    return SimpleNamespace(data=data, config=Config(**settings), folders=SimpleNamespace(metrics=folder))


def record(context: Any, round_number: int, num_clients: int) -> pd.DataFrame:
    record_partition(context, SimpleNamespace(round=round_number, num_clients=num_clients))
    return pd.read_csv(context.folders.metrics / "partition.csv")


def test_a_fixed_division_is_written_once(tmp_path: Path) -> None:
    context = context_of(tmp_path, PARTITION="site", SITE_COLUMN="device")
    table = record(context, 1, 2)
    assert list(table.columns) == ["round", "file", "client", "label", "patient", "site"]
    assert table["file"].tolist() == [entry["file"] for entry in FILES]
    assert table["client"].tolist() == [0, 0, 1, 1, 1, 1]
    assert table["label"].tolist() == [0, 1, 0, 1, 0, 1]
    assert table["patient"].tolist() == list("ppqqrr")
    assert table["site"].tolist() == ["Aloka"] * 2 + ["GE"] * 4
    before = (tmp_path / "partition.csv").stat().st_mtime_ns
    pd.testing.assert_frame_equal(record(context, 2, 2), table)
    assert (tmp_path / "partition.csv").stat().st_mtime_ns == before


def test_one_that_differs_is_added_and_a_repetition_changes_nothing(tmp_path: Path) -> None:
    context = context_of(tmp_path)
    for round_number, num_clients in ((1, 3), (2, 3), (3, 2), (4, 2), (5, 3)):
        once = record(context, round_number, num_clients)
        pd.testing.assert_frame_equal(record(context, round_number, num_clients), once)
    assert once["round"].tolist() == [1] * 6 + [3] * 6 + [5] * 6
    assert once.groupby("round")["client"].nunique().tolist() == [3, 2, 3]
    assert once["site"].isna().all()
    assert set(once[once["round"] == 1].groupby("patient")["client"].nunique()) == {1}
    again = record(context, 3, 2)  # as after a resume from round 2
    assert again["round"].tolist() == [1] * 6 + [3] * 6
