"""The journal of the tables: a CSV file that another program changed is replaced from the run's own copy."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.run_records import journal
from helpers.run_records.files import RecordError, RunFolders
from helpers.run_records.tables import write_table

FACTS = {journal.COPIES: {}}
ROWS = [{"round": 0, "val_loss": 0.1 + 0.2, "roc_auc": None}]
PARTITION = [{"round": 0, "file": "a.png", "client": 0, "label": 1}]


@pytest.fixture
def folders(tmp_path: Path) -> RunFolders:
    return RunFolders(tmp_path / "metrics" / "r", tmp_path / "models" / "r")


def committed(folders: RunFolders, rounds: int, facts: dict = FACTS) -> dict:
    """Commit rounds, as `commit_round` does; return the facts of state.json."""
    for number in range(1, rounds + 1):
        facts = journal.add_round(folders, facts, number, {"rounds.csv": [{**ROWS[0], "round": number}]})
        journal.forget(folders, facts[journal.COPIES])
        facts = json.loads(json.dumps(facts))
    return facts


def replace_ones(text: str) -> str:
    return text.replace("\n1,", "\n1.0,")


CHANGES: dict[str, Callable[[str], str]] = {
    "decimals": replace_ones,
    "semicolons": lambda text: text.replace(",", ";"),
    "empty row": lambda text: text.replace("\n1,", "\n" + "," * 22 + "\n1,"),
    "line ends": lambda text: text.replace("\n", "\r\n"),
    "quotes": lambda text: text.replace("round", '"round"'),
    "byte order mark": lambda text: "\ufeff" + text,
    "empty": lambda text: "",
    "not text": lambda text: "\0" * 100,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("resumed", [False, True])
def test_a_changed_file_is_replaced_with_a_notice(
    tmp_path: Path, folders: RunFolders, change: str, resumed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    other = RunFolders(tmp_path / "o" / "metrics", tmp_path / "o" / "models")
    committed(other, 3)
    facts = committed(folders, 2)
    path = folders.metrics / "rounds.csv"
    path.write_text(CHANGES[change](path.read_text()), newline="")
    if resumed:
        facts = {journal.COPIES: journal.restore(folders, facts, 2)}
    row = {**ROWS[0], "round": 3}
    journal.add_round(folders, facts, 3, {"rounds.csv": [row]})
    assert path.read_bytes() == (other.metrics / "rounds.csv").read_bytes()
    assert caplog.messages == [
        f"{path} was changed by another program; it is replaced by the run's own record. "
        "Edit a copy of it instead"
    ]


def test_an_ordinary_run_has_no_notice(folders: RunFolders, caplog: pytest.LogCaptureFixture) -> None:
    facts = committed(folders, 3)
    journal.add_round(folders, facts, 3, {"rounds.csv": [{**ROWS[0], "round": 3}]})
    assert len(list(folders.models.iterdir())) == 1
    journal.add_round(folders, facts, 4, {"rounds.csv": [{**ROWS[0], "round": 4}]})
    journal.restore(folders, facts, 3)  # as after a crash before round 4 was committed
    lines = (folders.metrics / "rounds.csv").read_text().splitlines()
    assert [line[0] for line in lines] == ["r", "1", "2", "3"]
    assert not caplog.messages


def test_a_round_that_was_not_committed_leaves_no_file(folders: RunFolders) -> None:
    committed_facts = committed(folders, 0)
    journal.add_round(folders, committed_facts, 1, {"rounds.csv": ROWS})
    journal.forget(folders, journal.restore(folders, committed_facts, 0))
    assert not list(folders.models.iterdir()) + list(folders.metrics.iterdir())


def test_a_partition_is_committed_with_its_round(folders: RunFolders) -> None:
    journal.add_rows(folders, FACTS, "partition.csv", 1, PARTITION)
    path = folders.metrics / "partition.csv"
    before = path.read_bytes()
    path.write_bytes(before.replace(b"a.png", b"b.png"))
    facts = committed(folders, 2)
    assert facts[journal.COPIES]["partition.csv"].startswith("partition-0001-")
    assert path.read_bytes() == before
    journal.add_rows(folders, facts, "partition.csv", 3, PARTITION)
    assert journal.restore(folders, facts, 2) == facts[journal.COPIES]
    assert path.read_bytes() == before


def test_a_damaged_copy_is_replaced_by_the_file(folders: RunFolders) -> None:
    facts = committed(folders, 1)
    copy = folders.models / facts[journal.COPIES]["rounds.csv"]
    copy.write_text("damaged")
    committed_again = journal.add_round(folders, facts, 2, {"rounds.csv": [{**ROWS[0], "round": 2}]})
    assert committed_again[journal.COPIES]["rounds.csv"].startswith("rounds-0002-")
    copy.write_text("damaged")
    (folders.metrics / "rounds.csv").write_text("damaged")
    with pytest.raises(RecordError, match=r"rounds-0001-\w+\.csv is missing or damaged, and so is"):
        journal.repair(folders, facts)


def test_a_run_of_an_earlier_version_continues_from_its_csv_files(folders: RunFolders) -> None:
    path = folders.metrics / "rounds.csv"
    write_table(path, journal.TABLES["rounds.csv"], [{**ROWS[0], "round": number} for number in (1, 2, 3)])
    copies = journal.restore(folders, {"settings": {}}, 2)
    assert [name[:11] for name in copies.values()] == ["rounds-0002"]
    committed_facts = journal.add_round(
        folders, {journal.COPIES: copies}, 3, {"rounds.csv": [{**ROWS[0], "round": 3}]}
    )
    assert [line[0] for line in path.read_text().splitlines()] == ["r", "1", "2", "3"]
    assert committed_facts[journal.COPIES]["rounds.csv"].startswith("rounds-0003")
