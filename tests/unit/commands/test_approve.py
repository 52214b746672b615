"""`run.py approve` and `run.py audit`, at a site."""

from pathlib import Path

import pytest

from commands import approve, audit
from helpers.federated.messages import FinishOrder
from helpers.settings.errors import ConfigError, UserError
from helpers.sites.approvals import Approvals
from helpers.sites.audit import AuditLog
from helpers.sites.policy import OrderRefused


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    return ["--site", "north", "--site-dir", str(tmp_path)]


def ask(folder: Path, run: str, **settings: object) -> None:
    with pytest.raises(OrderRefused):
        Approvals(folder / "north").check(FinishOrder(run, "s", settings, "", {}, 0))


def test_approve_shows_what_a_run_asks_for(
    tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(tmp_path, "first", EPOCHS=10, TRAIN_BATCH_SIZE=1, OPTIMIZER="adam")
    approve.main(options)
    assert capsys.readouterr().out == "first\n"
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert approve.main(["first", *options]) == 1
    printed = capsys.readouterr().out
    assert [line.split() for line in printed.splitlines()[2:4]] == [
        ["EPOCHS", "10", "10"],
        ["TRAIN_BATCH_SIZE", "1", "2"],
    ]
    assert "OPTIMIZER" not in printed
    assert approve.main(["first", "--yes", *options]) == 0
    assert Approvals(tmp_path / "north").waiting() == []


def test_approve_of_a_run_that_did_not_ask_names_those_that_did(tmp_path: Path, options: list[str]) -> None:
    ask(tmp_path, "first")
    with pytest.raises(UserError, match="run other does not wait for approval at this site; waiting: first"):
        approve.main(["other", *options])


def test_audit_prints_a_line_per_order(
    tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    audit.main(options)
    assert "no orders yet" in capsys.readouterr().out
    log = AuditLog(tmp_path / "north")
    log.append({"sender": "hub", "run": "a", "decision": "done", "bytes_out": 7})
    log.append({"run": "\x1b[2J", "decision": "refused: no"})
    audit.main(options)
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 3
    assert "\x1b" not in printed
    audit.main(["--last", "1", *options])
    assert "hub" not in capsys.readouterr().out


def test_without_a_site_the_commands_say_how_to_name_it(tmp_path: Path) -> None:
    for command in (approve, audit):
        with pytest.raises(ConfigError, match="SITE: not set; name the site with DT_SITE=name or --site"):
            command.main(["--site-dir", str(tmp_path)])
