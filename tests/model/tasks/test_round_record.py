"""partition.csv: whose images were whose, written where it changes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.federated.messages import RunState
from helpers.global_config import Config
from helpers.run_records.files import RunFolders
from preprocessing.feed.prepared_data import PreparedData
from tasks import round_record as partition_log
from tasks.round_record import record_partition


class Data(PreparedData):
    """Six images of three patients at two devices; there is the manifest alone."""

    def labels(self, split: str) -> np.ndarray:
        return np.array([0, 1, 0, 1, 0, 1], np.int32)


FILES = [
    {"file": f"{row % 2}/{row}.png", "split": "train", "row": row, "patient": "ppqqrr"[row],
     "group": row // 2, "columns": {"device": "GE" if row > 1 else "Aloka"}}
    for row in range(6)
]  # fmt: skip


class Recorder:
    """Records partitions in a folder; the checkpoint names the number of clients after each round."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, **settings: Any) -> None:
        data = Data(folder, {"files": FILES}, "")
        self.context: Any = SimpleNamespace(
            data=data, config=Config(**settings), folders=RunFolders(folder, folder / "models")
        )
        self.num_clients: int | None = None
        patch.setattr(partition_log, "read_state", self._state)

    def _state(self, _: Any) -> tuple[RunState, dict[str, Any]]:
        return RunState("r", 0, "", None, None, None, partition_clients=self.num_clients), {}

    def record(self, number: int, num_clients: int, *, commits: bool = True) -> pd.DataFrame:
        order: Any = SimpleNamespace(round=number, num_clients=num_clients)
        record_partition(self.context, order)
        self.num_clients = num_clients if commits else self.num_clients
        return pd.read_csv(self.context.folders.metrics / "partition.csv")


def test_a_fixed_partition_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Recorder(tmp_path, monkeypatch, PARTITION="site", SITE_COLUMN="device")
    table = run.record(1, 2)
    assert list(table.columns) == ["round", "file", "client", "label", "patient", "site"]
    assert table["file"].tolist() == [entry["file"] for entry in FILES]
    assert table["client"].tolist() == [0, 0, 1, 1, 1, 1]
    assert table["label"].tolist() == [0, 1, 0, 1, 0, 1]
    assert table["patient"].tolist() == list("ppqqrr")
    assert table["site"].tolist() == ["Aloka"] * 2 + ["GE"] * 4
    before = (tmp_path / "partition.csv").stat().st_mtime_ns
    pd.testing.assert_frame_equal(run.record(2, 2), table)
    assert (tmp_path / "partition.csv").stat().st_mtime_ns == before


def test_one_that_differs_is_added_and_a_repetition_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Recorder(tmp_path, monkeypatch)
    for round_number, num_clients in ((1, 3), (2, 3), (3, 2), (4, 2), (5, 3)):
        once = run.record(round_number, num_clients, commits=False)
        pd.testing.assert_frame_equal(run.record(round_number, num_clients), once)
    assert once["round"].tolist() == [1] * 6 + [3] * 6 + [5] * 6
    assert once.groupby("round")["client"].nunique().tolist() == [3, 2, 3]
    assert once["site"].isna().all()
    assert set(once[once["round"] == 1].groupby("patient")["client"].nunique()) == {1}
    again = run.record(3, 2)  # as after a resume from round 2
    assert again["round"].tolist() == [1] * 6 + [3] * 6
