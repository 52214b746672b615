"""A run in the terminal: a bar for the round while it lasts, a line when it is done, tables at the end."""

import time
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from helpers.federated.messages import RoundResult, RunState
from helpers.federated.observers import RoundProgress

SHOWN = ("train_loss", "val_loss", "accuracy", "precision", "recall", "f1_score", "roc_auc")


class TerminalObserver:
    """Prints a run to `console`; the bar shows only where that is a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rounds = 0
        self._started = time.monotonic()
        self._first_round = 1
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[workers]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None

    def run_started(self, run: str, state: RunState, rounds: int) -> None:
        self._rounds, self._first_round = rounds, state.round + 1
        self._started = time.monotonic()
        done = f", {state.round} of them done" if state.round else ""
        self._console.print(f"Run [bold]{run}[/]: {rounds} rounds{done}")
        self._bar.start()

    def round_started(self, round_number: int, clients: list[int]) -> None:
        text = f"Round {round_number}/{self._rounds}"
        self._task = self._bar.add_task(text, total=len(clients), workers="")

    def progress(self, progress: RoundProgress) -> None:
        if self._task is None:
            return
        tasks = {name: status["task"] for name, status in progress.workers.items() if status["task"]}
        parts = {name.partition("@")[0]: _of_its_batches(task) for name, task in tasks.items()}
        done = progress.replied + sum(part for part in parts.values() if part < 1)
        shown = "  ".join(f"{name} {part:.0%}" for name, part in parts.items())
        self._bar.update(self._task, completed=min(done, progress.clients), workers=shown)

    def round_finished(self, result: RoundResult) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
        row = result.metrics
        done = row["round"] - self._first_round + 1
        left = (time.monotonic() - self._started) / done * (self._rounds - row["round"])
        best = "  [green]best so far[/]" if result.state["best_round"] == row["round"] else ""
        self._console.print(
            f"Round {row['round']}/{self._rounds}  loss {_shown(row['train_loss'])}  "
            f"validation: loss {_shown(row['val_loss'])}  accuracy {_shown(row['accuracy'])}  "
            f"AUC {_shown(row['roc_auc'])}  {row['seconds']:.1f} s, {left:.0f} s left{best}",
            highlight=False,
            soft_wrap=True,
        )

    def notice(self, text: str) -> None:
        self._console.print(f"[yellow]{time.strftime('%H:%M:%S')}[/] {text}", highlight=False, soft_wrap=True)

    def close(self) -> None:
        self._bar.stop()


def print_results(console: Console, rounds: pd.DataFrame, test: dict[str, Any], paths: list[Path]) -> None:
    """Print the metrics of every round and of the test, and where the files lie.

    Args:
        console: where to.
        rounds: rounds.csv.
        test: the row of test.csv.
        paths: files and folders worth a look.
    """
    headers = [name.replace("_", " ") for name in SHOWN]
    table = Table(
        "round", "clients", *headers, "seconds",
        title="Validation, averaged model", box=None, pad_edge=False,
    )  # fmt: skip
    for row in rounds.to_dict("records"):
        counts = [str(row[name]) for name in ("round", "num_clients")]
        table.add_row(*counts, *(_shown(row[name]) for name in SHOWN), _shown(row["seconds"], 1))
    console.print(table)
    names = ("threshold", "accuracy", "precision", "recall", "f1_score", "roc_auc")
    headers = [name.replace("_", " ") for name in names]
    table = Table("model", "of round", "images", *headers, title="Test, used once", box=None, pad_edge=False)
    cells = [_shown(test[name]) for name in names]
    table.add_row(str(test["model"]), str(test["round"]), str(test["num_examples"]), *cells)
    console.print(table)
    for path in paths:
        console.print(f"  {path}", highlight=False, soft_wrap=True)


def _of_its_batches(task: dict[str, Any]) -> float:
    return float(task.get("batch", 0) / max(1, task.get("batches", 1)))


def _shown(value: Any, digits: int = 3) -> str:
    return "–" if value in (None, "") else f"{float(value):.{digits}f}"
