"""Terminal view of a run: the live table and one line per round, at most 80 columns wide."""

import re
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from helpers.federated.observers import RoundProgress
from helpers.monitoring import terminal
from helpers.monitoring.terminal import TerminalObserver

BATCH_SIZE = 8
WIDTH = 80


class Screen:
    """A terminal of 80 columns, and a clock that the test sets.

    Attributes:
        observer: prints to it.
        seconds: the time of the clock.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool = True) -> None:
        self._file = StringIO()
        self.seconds = 0.0
        clock = SimpleNamespace(monotonic=lambda: self.seconds, strftime=lambda _: "12:00:00 ")
        monkeypatch.setattr(terminal, "time", clock)
        console = Console(file=self._file, force_terminal=is_terminal, color_system=None, width=WIDTH)
        self.observer = TerminalObserver(console, BATCH_SIZE, "readme")

    def new_text(self) -> str:
        """Return what was printed since the last call, without control codes and empty lines."""
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
    """Return the live view; a worker is (client, batch of 10, seconds), or None if idle."""
    tasks = {
        name: {"task": work and {
            "job": f"train:{round_number}:{work[0]}", "batch": work[1], "batches": 10, "seconds": work[2],
        }}
        for name, work in workers.items()
    }  # fmt: skip
    screen.observer.progress(RoundProgress(round_number, replied, 3, tasks))
    return screen.new_text()


def finish(screen: Screen, number: int, auc: float | None, seconds: list[float], best: int | None = 1) -> str:
    row = {"round": number, "train_loss": 0.7, "val_loss": 0.6, "roc_auc": auc, "seconds": max(seconds)}
    clients = [{"seconds": each} for each in seconds]
    screen.observer.round_finished(SimpleNamespace(metrics=row, clients=clients, state={"best_round": best}))
    return screen.new_text()


def test_the_live_view_shows_every_worker(screen):
    start(screen)
    assert "Run first: 4 rounds, recipe readme" in screen.new_text()
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


def test_a_line_per_round_with_the_time_left(screen):
    start(screen, rounds=10, done=2)
    assert "10 rounds, 2 of them done" in screen.new_text()
    line = finish(screen, 3, None, [12.0], best=None)
    assert line == "Round 3/10  loss 0.700, val 0.600  AUC –  12 s, 1 min 24 s left"  # 7 rounds of 12 s
    line = finish(screen, 4, 0.6, [6.0, 4.0], best=4)
    assert line == "Round 4/10  loss 0.700, val 0.600  AUC 0.600 best  6.0 s, 54 s left"  # 6 of 9 s
    assert "Round 5/10, 0 of 3 clients done, 54 s left" in progress(screen, 0, 5, w1=None)
    assert finish(screen, 10, 0.5, [9.0]).splitlines()[0].endswith("AUC 0.500  9.0 s")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59, "59 s"), (84, "1 min 24 s"), (600, "10 min"), (5040, "1 h 24 min"), (36000, "10 h")],
)
def test_durations(seconds, text):
    assert terminal._duration(seconds) == text


def test_long_names_and_numbers_fit_80_columns(screen):
    screen.observer.run_started("busbra-fedprox-seed-3-client-12-alone", SimpleNamespace(round=0), 200)
    screen.observer.round_started(123, list(range(100)))
    long_name = "worker12@radiology-gpu-03.klinikum-beispielstadt.de"
    lines = progress(screen, 97, 123, **{long_name: (99, 10, 7200.0), "w2": None}).splitlines()
    screen.observer.round_started(124, list(range(100)))
    lines += finish(screen, 124, 0.987, [599.4], best=124).splitlines()
    lines += progress(screen, 97, 124, **{long_name: (99, 10, 0.001), "w2": None}).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert [line for line in lines if "client 99" in line and "batch 10/10" in line]
    assert "Round 124/200  loss 0.700, val 0.600  AUC 0.987 best  599 s, 12 h left" in lines


def test_other_jobs_have_words(screen):
    start(screen)
    for job, word in (("aggregate:1", "averaging"), ("score-val:1:0", "scoring"), ("finish", "testing")):
        screen.observer.progress(RoundProgress(1, 3, 3, {"w1": {"task": {"job": job}}}))
        assert ["w1", word] in [line.split() for line in screen.new_text().splitlines()]


def test_without_a_terminal_only_lines_are_printed(monkeypatch):
    screen = Screen(monkeypatch, is_terminal=False)
    start(screen)
    screen.new_text()
    assert progress(screen, w1=(0, 5, 2.0)) == ""
    screen.observer.notice("worker [w1] is lost")
    assert screen.new_text() == "12:00:00 worker [w1] is lost"
