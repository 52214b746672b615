"""The journal of the tables: a CSV file that another program changed is replaced from the run's own rows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.run_records.files import RecordError, RunFolders
from helpers.run_records.journal import Rows, read_rows, save_rows, with_round, write_csv_files
from helpers.run_records.tables import ROUND_COLUMNS, write_table

PARTITION = [{"round": 1, "file": "a.png", "client": 0, "label": 1}]


@pytest.fixture
def folders(tmp_path: Path) -> RunFolders:
    folders = RunFolders(tmp_path / "metrics" / "r", tmp_path / "models" / "r")
    folders.metrics.mkdir(parents=True)
    return folders


def round_rows(number: int) -> Rows:
    return {"rounds.csv": [{"round": number, "val_loss": 0.1 + 0.2, "roc_auc": None, "of no column": 1}]}


def committed(folders: RunFolders, last_round: int, rows: Rows | None = None) -> Rows:
    """Commit the rounds after those of `rows`, as `commit_round` does; return the rows as they are read."""
    rows = rows or {}
    for number in range(len(rows.get("rounds.csv", [])) + 1, last_round + 1):
        file = save_rows(folders, number, with_round(rows, number, round_rows(number)))
        rows = read_rows(folders, file)
        write_csv_files(folders, rows)
    return rows


CHANGES: dict[str, Callable[[str], str]] = {
    "decimals": lambda text: text.replace("\n1,", "\n1.0,"),
    "semicolons": lambda text: text.replace(",", ";"),
    "empty row": lambda text: text.replace("\n1,", "\n" + "," * 22 + "\n1,"),
    "line ends": lambda text: text.replace("\n", "\r\n"),
    "quotes": lambda text: text.replace("round", '"round"'),
    "byte order mark": lambda text: "\ufeff" + text,
    "not text": lambda text: "\0" * 100,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file_is_replaced_with_a_notice(
    tmp_path: Path, folders: RunFolders, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = committed(folders, 2)
    path = folders.metrics / "rounds.csv"
    path.write_text(CHANGES[change](path.read_text()), newline="")
    committed(folders, 3, rows)
    lines = path.read_text().splitlines()
    assert lines[0] == ",".join(ROUND_COLUMNS)
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2", "3"]
    assert lines[1].split(",")[4] == repr(0.1 + 0.2)
    assert caplog.messages == [
        f"{path} was changed by another program; it is replaced by the run's own record. "
        "Edit a copy of it instead"
    ]


def test_files_that_a_killed_process_left_are_replaced_without_a_notice(
    folders: RunFolders, caplog: pytest.LogCaptureFixture
) -> None:
    rows = committed(folders, 2)
    path = folders.metrics / "rounds.csv"
    wanted = path.read_text()
    for found in ("", "".join(wanted.splitlines(keepends=True)[:2]), wanted + "3,1\n"):
        path.write_text(found)
        write_csv_files(folders, rows)
        assert path.read_text() == wanted
    path.unlink()
    write_csv_files(folders, rows)
    assert path.read_text() == wanted
    write_csv_files(folders, {})
    assert not list(folders.metrics.iterdir())
    assert not caplog.messages


def test_a_repeated_round_leaves_the_same_rows(folders: RunFolders) -> None:
    once = with_round(committed(folders, 2), 3, round_rows(3) | {"partition.csv": PARTITION})
    assert [row["round"] for row in once["rounds.csv"]] == [1, 2, 3]
    assert with_round(once, 3, round_rows(3)) == once
    assert with_round(once, 2, {})["rounds.csv"] == once["rounds.csv"][:2]


def test_unchanged_files_are_not_written_again(folders: RunFolders) -> None:
    rows = with_round(committed(folders, 1), 1, {"partition.csv": PARTITION})
    write_csv_files(folders, rows)
    path = folders.metrics / "partition.csv"
    before = path.stat().st_mtime_ns
    committed(folders, 2, rows)
    assert path.stat().st_mtime_ns == before


def test_damaged_rows_are_named(folders: RunFolders) -> None:
    file = save_rows(folders, 1, round_rows(1))
    (folders.models / file).write_text("{}")
    with pytest.raises(RecordError, match=r"tables-0001-\w+\.json is damaged"):
        read_rows(folders, file)


def test_a_run_of_version_0_1_0_continues_from_its_csv_files(folders: RunFolders) -> None:
    path = folders.metrics / "rounds.csv"
    rows = [{"round": number, "val_loss": 0.1 + 0.2} for number in (1, 2, 3)]
    write_table(path, ROUND_COLUMNS, rows)
    lines = path.read_bytes().splitlines()
    write_csv_files(folders, with_round(read_rows(folders, None), 2, {}))
    assert path.read_bytes().splitlines() == lines[:3]


@pytest.mark.parametrize("text", ["round,value\n1.0,2\n", "round;value\n1;2\n", "round,value\n,\n"])
def test_a_file_of_version_0_1_0_that_a_spreadsheet_changed_is_named(folders: RunFolders, text: str) -> None:
    (folders.metrics / "rounds.csv").write_text(text)
    with pytest.raises(RecordError, match=r"rounds\.csv was changed by another program"):
        read_rows(folders, None)
