"""Tolerant readers: a cell that is no number spoils only itself."""

import math
from pathlib import Path

import pytest

from helpers.reporting.file_readers import read_csv

COLUMNS = ["round", "worker", "site", "val_loss", "of a later version"]


@pytest.mark.parametrize("odd", ["", "0.1.0", "True", "1e999"])
def test_one_odd_cell_changes_no_other(tmp_path: Path, odd: str) -> None:
    file = tmp_path / "clients.csv"
    file.write_text(f"round,worker,site,val_loss\n1,007,'=x,{0.1 + 0.2!r}\n2,,NA,{odd}\n")
    table = read_csv(file, COLUMNS, unreadable := [])
    assert unreadable == []
    assert list(table.columns) == COLUMNS
    assert table["round"].tolist() == [1.0, 2.0]
    assert table["worker"].tolist() == ["007", ""]
    assert table["site"].tolist() == ["=x", "NA"]
    assert table["val_loss"][0] == 0.1 + 0.2
    assert not math.isfinite(table["val_loss"][1])
    assert table["of a later version"].isna().all()


def test_a_missing_file_is_empty_and_a_broken_one_is_listed(tmp_path: Path) -> None:
    assert read_csv(tmp_path / "none.csv", COLUMNS, unreadable := []).empty
    assert unreadable == []
    (tmp_path / "broken.csv").write_text("a,b\n1,2\n1,2,3\n")
    assert read_csv(tmp_path / "broken.csv", COLUMNS, unreadable).empty
    assert unreadable[0].startswith("broken.csv could not be read: ")
