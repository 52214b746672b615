"""Frame of the studies' commands."""

import signal
from pathlib import Path

import pytest

import benchmarks.run
from benchmarks.watching import CommandFailed
from helpers.settings.errors import UserError
from studies.command import run_command


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.setattr(benchmarks.run, "enter_environment", lambda script: 0)
    monkeypatch.setattr(benchmarks.run, "drop_settings", lambda: None)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    monkeypatch.setattr("sys.platform", "linux")


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (UserError("no folder"), 2, "error: no folder\n"),
        (CommandFailed("run a: status 3"), 3, "error: run a: status 3\nfinished runs are kept; repeat"),
        (KeyboardInterrupt(), 130, "stopped; finished runs are kept; repeat"),
    ],
)
def test_errors_are_lines_and_have_a_status(capsys, error, status, said):
    def run() -> Path:
        raise error

    assert run_command("study.py", run) == status
    assert capsys.readouterr().err.startswith(said)


def test_the_page_is_named(capsys):
    assert run_command("study.py", lambda: Path("page.md")) == 0
    assert capsys.readouterr().out == "Results: page.md\n"


def test_other_systems_are_refused(capsys, monkeypatch):
    monkeypatch.setattr("sys.platform", "win32")
    assert run_command("study.py", lambda: Path("page.md")) == 2
    assert "need Linux" in capsys.readouterr().err
