"""What a run shows in the terminal: the live view, a line a round, and the tables at the end."""

import re
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from helpers.federated.observers import RoundProgress
from helpers.monitoring import terminal
from helpers.monitoring.result_tables import print_comparison, print_results
from helpers.monitoring.terminal import TerminalObserver

BATCH_SIZE = 8


class Screen:
    """A terminal and a clock that moves when told.

    Attributes:
        observer: prints to it.
        seconds: what the clock shows.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool = True) -> None:
        self._file = StringIO()
        self.seconds = 0.0
        clock = SimpleNamespace(monotonic=lambda: self.seconds, strftime=lambda _: "12:00:00 ")
        monkeypatch.setattr(terminal, "time", clock)
        console = Console(file=self._file, force_terminal=is_terminal, color_system=None, width=120)
        self.observer = TerminalObserver(console, BATCH_SIZE)

    def new_text(self) -> str:
        """What was printed since the last time, without control codes and empty lines."""
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", self._file.getvalue())
        self._file.seek(0)
        self._file.truncate()
        return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


@pytest.fixture
def screen(monkeypatch):
    screen = Screen(monkeypatch)
    yield screen
    screen.observer.close()


def start(screen: Screen, rounds: int = 4, done: int = 0) -> None:
    screen.observer.run_started("first", SimpleNamespace(round=done), rounds)
    screen.observer.round_started(done + 1, [0, 1, 2])


def progress(screen: Screen, replied: int = 0, round_number: int = 1, **workers: Any) -> str:
    """The live view; a worker is (client, batch of 10, seconds), or None where it is idle."""
    tasks = {
        name: {"task": work and {
            "job": f"train:{round_number}:{work[0]}", "batch": work[1], "batches": 10, "seconds": work[2],
        }}
        for name, work in workers.items()
    }  # fmt: skip
    screen.observer.progress(RoundProgress(round_number, replied, 3, tasks))
    return screen.new_text()


def finish(screen: Screen, number: int, auc: float | None, seconds: list[float], best: int | None = 1) -> str:
    row = {"round": number, "train_loss": 0.7, "val_loss": 0.6, "accuracy": 0.5, "roc_auc": auc, "seconds": 9}
    clients = [{"seconds": each} for each in seconds]
    screen.observer.round_finished(SimpleNamespace(metrics=row, clients=clients, state={"best_round": best}))
    return screen.new_text()


def test_the_live_view_shows_every_worker(screen):
    start(screen)
    assert "Run first: 4 rounds" in screen.new_text()
    text = progress(screen, w1=(0, 5, 2.0), w2=None)
    assert "Round 1/4, 0 of 3 clients done" in text
    worker, idle = (line.split() for line in text.splitlines() if line.startswith("w"))
    assert worker[:3] == ["w1", "client", "0"]
    assert worker[-4:] == ["batch", "5/10", "20", "images/s"]  # 5 batches of 8 in 2 s
    assert idle == ["w2", "idle"]
    assert "w2 no sign of life" in " ".join(progress(screen, w1=(0, 6, 2.4)).split())


def test_a_client_can_be_late_in_the_first_round(screen):
    start(screen)
    screen.seconds = 99
    assert "late" not in progress(screen, 1, w1=(2, 9, 99.0))  # nothing is usual yet
    screen.seconds = 100
    assert "late" not in progress(screen, 2, w1=(2, 9, 100.0))
    screen.seconds = 150
    assert "late" not in progress(screen, 2, w1=(2, 9, 150.0))
    assert "late" in progress(screen, 2, w1=(2, 9, 150.1))


def test_later_a_client_is_late_by_the_slowest_of_the_round_before(screen):
    start(screen)
    finish(screen, 1, 0.6, [10.0, 20.0, 15.0])
    screen.observer.round_started(2, [0, 1, 2])
    assert "late" not in progress(screen, 2, 2, w1=(2, 9, 30.0))
    assert "late" in progress(screen, 2, 2, w1=(2, 9, 30.1))


def test_the_curve_leaves_out_what_is_undefined(screen):
    start(screen)
    for number, auc in enumerate([0.5, None, 0.75, 1.0, 0.0], start=1):
        finish(screen, number, auc, [1.0])
    assert "validation AUC ▁·▅█▁" in progress(screen, 0, 6, w1=None)


def test_a_line_a_round_with_the_time_that_is_left(screen):
    start(screen, rounds=6, done=2)
    assert "6 rounds, 2 of them done" in screen.new_text()
    screen.seconds = 10
    line = finish(screen, 3, None, [1.0], best=None)
    assert "Round 3/6  loss 0.700  validation: loss 0.600  accuracy 0.500  AUC –  9.0 s, 30 s left" in line
    assert "best" not in line
    screen.seconds = 12
    assert "12 s left  best so far" in finish(screen, 4, 0.6, [1.0], best=4)
    assert ", 12 s left" in progress(screen, 0, 5, w1=None)


def test_without_a_terminal_there_are_lines_alone(monkeypatch):
    screen = Screen(monkeypatch, is_terminal=False)
    start(screen)
    screen.new_text()
    assert progress(screen, w1=(0, 5, 2.0)) == ""
    screen.observer.notice("worker [w1] is lost")
    assert screen.new_text() == "12:00:00 worker [w1] is lost"


def printed(show: Any, *arguments: Any) -> list[list[str]]:
    """The words of every line that is printed."""
    console = Console(file=StringIO(), width=160)
    show(console, *arguments)
    return [line.split() for line in console.file.getvalue().splitlines()]


def test_the_tables_at_the_end():
    names = ("train_loss", "val_loss", "accuracy", "precision", "recall", "f1_score", "roc_auc")
    round_row = {
        "round": "1",
        "num_clients": "3",
        **dict.fromkeys(names, "0.25"),
        "precision": "",
        "seconds": "9",
    }
    more = ("specificity", "sensitivity_at_90_specificity", "calibration_error")
    test: dict[str, Any] = {"round": 1, "num_examples": 40, "threshold": 0.4}
    test |= {f"{name}{end}": 0.5 for name in (*names[2:], *more) for end in ("", "_low", "_high")}
    test |= {"recall": None, "recall_low": None, "recall_high": None, "roc_auc_high": 0.625}
    lines = printed(
        print_results, pd.DataFrame([round_row]), test, ("[benign]", "[malignant]"), [Path("metrics/first")]
    )
    assert ["class", "1,", "of", "precision", "and", "recall", "[malignant]"] in lines
    assert ["1", "3", "0.250", "0.250", "0.250", "–", "0.250", "0.250", "0.250", "9.0"] in lines
    assert ["roc", "auc", "0.500", "0.500", "to", "0.625"] in lines
    assert ["recall", "–", "–"] in lines
    assert ["decision", "threshold,", "from", "validation", "0.400"] in lines
    assert lines[-1] == ["metrics/first"]
    lines = printed(print_results, pd.DataFrame([round_row]), test, [f"[{n}]" for n in range(9)], [])
    names = ["[0],", "[1],", "[2],", "[3],", "[4],", "[5],", "[6],", "[7],", "…", "(9)"]
    assert ["means", "over", "the", "classes,", "each", "alone", "in", "test_classes.csv", *names] in lines


def test_the_table_of_the_ways():
    first = {"model": "federated", "roc_auc": 0.75, "roc_auc_low": 0.5, "roc_auc_high": 1.0}
    second = first | {"model": "pooled", "difference": -0.125, "difference_low": -0.25, "difference_high": 0}
    lines = printed(print_comparison, pd.DataFrame([first, second], dtype=object), [Path("compare.csv")])
    assert ["federated", "0.750", "0.500", "to", "1.000", "–", "–"] in lines
    assert ["pooled", "0.750", "0.500", "to", "1.000", "-0.125", "-0.250", "to", "0.000"] in lines
    assert lines[-1] == ["compare.csv"]
