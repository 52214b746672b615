"""The journal of the tables: a CSV file that another program changed is replaced from the run's own rows."""

import json
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from helpers.federated.results import RunState
from helpers.run_records.checkpoint import save_record
from helpers.run_records.files import RecordError, RunFolders
from helpers.run_records.journal import TABLES, Rows, add_rows, read_rows, records_to_resume, write_csv_files
from helpers.run_records.tables import CLIENT_COLUMNS, ROUND_COLUMNS, write_table

PARTITION = [{"round": 1, "file": "a.png", "client": 0, "label": 1}]


@pytest.fixture
def folders(tmp_path: Path) -> RunFolders:
    folders = RunFolders(tmp_path / "metrics" / "r", tmp_path / "models" / "r")
    folders.metrics.mkdir(parents=True)
    return folders


def round_rows(number: int) -> Rows:
    return {"rounds.csv": [{"round": number, "val_loss": 0.1 + 0.2, "roc_auc": None, "of no column": 1}]}


def state_after(number: int, **fields: Any) -> RunState:
    return RunState("r", number, "weights", None, None, None, **fields)


def committed(folders: RunFolders, rounds: Iterable[int], records: dict[str, str]) -> dict[str, str]:
    """Commit rounds after those of `records`, as `commit_round` does; return the new records."""
    for number in rounds:
        records = add_rows(folders, number, records, round_rows(number))
        write_csv_files(folders, records)
    return records


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
    records = committed(folders, [1, 2], {})
    path = folders.metrics / "rounds.csv"
    path.write_text(CHANGES[change](path.read_text()), newline="")
    committed(folders, [3], records)
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
    records = committed(folders, [1, 2], {})
    path = folders.metrics / "rounds.csv"
    wanted = path.read_text()
    for found in ("", "".join(wanted.splitlines(keepends=True)[:2]), wanted + "3,1\n"):
        path.write_text(found)
        write_csv_files(folders, records)
        assert path.read_text() == wanted
    path.unlink()
    write_csv_files(folders, records)
    assert path.read_text() == wanted
    assert not caplog.messages


def test_unchanged_files_are_not_written_again(folders: RunFolders) -> None:
    records = add_rows(folders, 1, {}, round_rows(1) | {"partition.csv": PARTITION})
    write_csv_files(folders, records)
    path = folders.metrics / "partition.csv"
    before = path.stat().st_mtime_ns
    assert committed(folders, [2], records)["partition.csv"] == records["partition.csv"]
    assert path.stat().st_mtime_ns == before


def test_rows_are_read_as_they_were_added(folders: RunFolders) -> None:
    row = dict.fromkeys(CLIENT_COLUMNS) | {
        "round": 1, "client": 0, "worker": "7", "status": "ok", "train_loss": 1e-300, "val_loss": 2.0,
        "error": '=1;"a"\nb,', "site": "-x",
    }  # fmt: skip
    records = add_rows(folders, 1, {}, {"clients.csv": [row, row | {"client": 1, "val_loss": 0.1 + 0.2}]})
    assert read_rows(folders, records["clients.csv"]) == [row, row | {"client": 1, "val_loss": 0.1 + 0.2}]
    assert read_rows(folders, records.get("rounds.csv")) == []


@pytest.mark.parametrize("text", ["a\rb", "a\ud800b", "\r", "\0", "'=\r"])
def test_no_text_from_outside_spoils_a_record(folders: RunFolders, text: str) -> None:
    records = add_rows(folders, 1, {}, {"clients.csv": [{"round": 1, "worker": text}, {"round": 1}]})
    first, second = read_rows(folders, records["clients.csv"])
    assert (first["round"], second["round"]) == (1, 1)
    assert len(pd.read_csv(folders.models / records["clients.csv"])) == 2
    assert first["worker"] == text.replace("\r", "\\x0d").replace("\ud800", "\\ud800")


def test_memory_does_not_grow_with_the_rows_on_record(folders: RunFolders) -> None:
    """Of Python's own objects: a record is mapped, not read."""
    rows = {"partition.csv": PARTITION * 50_000}
    records = add_rows(folders, 1, {}, rows)
    tracemalloc.start()
    try:
        write_csv_files(folders, add_rows(folders, 2, records, {"partition.csv": PARTITION}))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < (folders.models / records["partition.csv"]).stat().st_size / 2
    assert len((folders.metrics / "partition.csv").read_text().splitlines()) == 50_002


def test_a_damaged_record_is_named(folders: RunFolders) -> None:
    records = add_rows(folders, 1, {}, round_rows(1))
    (folders.models / records["rounds.csv"]).write_text("round\n1\n")
    for use in (
        lambda: read_rows(folders, records["rounds.csv"]),
        lambda: write_csv_files(folders, records),
        lambda: add_rows(folders, 2, records, round_rows(2)),
    ):
        with pytest.raises(RecordError, match=r"tables-rounds-0001-\w+\.csv is damaged"):
            use()


def test_records_of_an_earlier_version_get_the_present_columns(
    folders: RunFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = committed(folders, [1, 2], {})
    assert records_to_resume(folders, state_after(2, tables=records)) == records
    monkeypatch.setitem(TABLES, "rounds.csv", [*ROUND_COLUMNS, "new"])
    rows = add_rows(folders, 1, {}, {"clients.csv": [{"round": 1}]})
    records = add_rows(folders, 3, records_to_resume(folders, state_after(2, tables=records | rows)), {
        "rounds.csv": [{"round": 3, "new": 0.5}]
    })  # fmt: skip
    assert [row["new"] for row in read_rows(folders, records["rounds.csv"])] == [None, None, 0.5]
    assert records["clients.csv"] == rows["clients.csv"]


def test_rows_in_the_file_of_an_earlier_version_are_kept(folders: RunFolders) -> None:
    rows = {"rounds.csv": [{"round": 1, "val_loss": 0.1 + 0.2}], "classes.csv": []}
    file = save_record(folders, "tables-0001", ".json", [json.dumps(rows).encode()])
    records = records_to_resume(folders, state_after(1, tables_file=file))
    assert [row["val_loss"] for row in read_rows(folders, records["rounds.csv"])] == [0.1 + 0.2]
    assert records.keys() == {"rounds.csv"}


def test_a_run_of_version_0_1_0_continues_from_its_csv_files(folders: RunFolders) -> None:
    path = folders.metrics / "rounds.csv"
    rows = [{"round": number, "val_loss": 0.1 + 0.2} for number in (1, 2, 3)]
    write_table(path, ROUND_COLUMNS, rows)
    lines = path.read_bytes().splitlines()
    write_csv_files(folders, records_to_resume(folders, state_after(2)))
    assert path.read_bytes().splitlines() == lines[:3]


@pytest.mark.parametrize("text", ["round,value\n1.0,2\n", "round;value\n1;2\n", "round,value\n,\n"])
def test_a_file_of_version_0_1_0_that_a_spreadsheet_changed_is_named(folders: RunFolders, text: str) -> None:
    (folders.metrics / "rounds.csv").write_text(text)
    with pytest.raises(RecordError, match=r"rounds\.csv was changed by another program"):
        records_to_resume(folders, state_after(1))
