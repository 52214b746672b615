"""Terminal view of a run: a live table of the workers, and one line per round. Fits 80 columns."""

import time
from collections import deque
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from helpers.federated.observers import Observer, RoundProgress
from helpers.federated.results import RoundResult, RunState
from helpers.monitoring.result_tables import shown
from helpers.settings.outside_text import printable

LATE = 1.5
"""A client is late after this multiple of the usual time: that of the slowest client of the round before;
in a session's first round, the time until half of the clients had replied."""
BLOCKS = "▁▂▃▄▅▆▇█"
ACTIVITIES = {
    "start": "starting",
    "offer": "announcing",
    "aggregate": "averaging",
    "score": "scoring",
    "record": "recording",
    "finish": "testing",
}
"""What a worker does in a job other than a client's training, by the first word of the job's name."""


class TerminalObserver(Observer):
    """Prints a run to `console`; the live table is shown only if that is a terminal.

    Args:
        console: the output.
        batch_size: images per batch, for the speed of a worker.
        recipe: of the run; empty for none.
    """

    def __init__(self, console: Console, batch_size: int, recipe: str = "") -> None:
        self._console = console
        self._batch_size = batch_size
        self._recipe = recipe
        self._rounds = 0
        self._round_began = time.monotonic()
        self._round_seconds: list[float] = []
        self._usual_s = float("inf")
        self._aucs: deque[float | None] = deque(maxlen=60)
        self._seen: set[str] = set()
        self._live = (
            Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None
        )

    def run_started(self, run: str, state: RunState, rounds: int) -> None:
        self._rounds = rounds
        done = f", {state.round} of them done" if state.round else ""
        recipe = f", recipe {self._recipe}" if self._recipe else ""
        title = Text("Run ").append(printable(run), style="bold").append(f": {rounds} rounds{done}{recipe}")
        self._console.print(title, soft_wrap=True)
        if self._live is not None:
            self._live.start()

    def round_started(self, round_number: int, clients: list[int]) -> None:
        self._round_began = time.monotonic()

    def progress(self, progress: RoundProgress) -> None:
        if self._usual_s == float("inf") and 2 * progress.replied >= progress.clients:
            self._usual_s = time.monotonic() - self._round_began
        if self._live is not None:
            self._live.update(self._view(progress), refresh=True)

    def round_finished(self, result: RoundResult) -> None:
        row = result.metrics
        self._usual_s = max((client["seconds"] for client in result.clients), default=self._usual_s)
        self._aucs.append(row["roc_auc"])
        self._round_seconds.append(row["seconds"])
        epsilon = f"  ε {row['epsilon']:.2f}" if row.get("epsilon") is not None else ""
        best = " [green]best[/]" if result.state["best_round"] == row["round"] else ""
        loss, val_loss, auc = (shown(row[name]) for name in ("train_loss", "val_loss", "roc_auc"))
        self._console.print(
            f"Round {row['round']}/{self._rounds}  loss {loss}, val {val_loss}  AUC {auc}{best}{epsilon}  "
            f"{_seconds(row['seconds'])}{self._left(row['round'])}",
            highlight=False,
            soft_wrap=True,
        )

    def notice(self, text: str) -> None:
        line = Text(time.strftime("%H:%M:%S "), style="yellow").append(printable(text), style="default")
        self._console.print(line, soft_wrap=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()

    def _left(self, rounds_done: int) -> str:
        """The time left, from the mean seconds of this session's rounds; empty if unknown or over."""
        rounds_left = self._rounds - rounds_done
        if not self._round_seconds or not rounds_left:
            return ""
        seconds = sum(self._round_seconds) / len(self._round_seconds) * rounds_left
        return f", {_duration(seconds)} left"

    def _view(self, progress: RoundProgress) -> RenderableType:
        head = (
            f"Round {progress.round}/{self._rounds}, {progress.replied} of {progress.clients} clients done"
            f"{self._left(progress.round - 1)}"
        )
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, status in progress.workers.items():
            table.add_row(_worker_name(name), *self._of_worker(status["task"]))
        self._seen.update(progress.workers)
        for name in sorted(self._seen - progress.workers.keys()):
            table.add_row(_worker_name(name), Text("no sign of life", style="red"))
        curve = Text("validation AUC " + "".join(_block(auc) for auc in self._aucs), style="cyan")
        return Group(Text(head), table, *([curve] if self._aucs else []))

    def _of_worker(self, task: dict[str, Any] | None) -> tuple[RenderableType, ...]:
        if task is None:
            return ("idle",)
        batch, batches, seconds = task.get("batch", 0), task.get("batches", 0), task.get("seconds", 0.0)
        label = Text(printable(activity_of(task["job"])))
        if not batches:
            return (label,)
        speed = f"{batch * self._batch_size / seconds:.0f} images/s" if seconds > 0 and batch else ""
        late = "[yellow]late[/]" if seconds > LATE * self._usual_s else ""
        return (label, ProgressBar(batches, batch, width=8), f"batch {batch}/{batches}", speed, late)


def activity_of(job: str) -> str:
    """Return what a worker does in a job, for people."""
    kind, *numbers = job.split(":")
    kind = kind.partition("-")[0]  # score-val, score-test
    return f"client {numbers[-1]}" if kind == "train" and numbers else ACTIVITIES.get(kind, kind)


def _worker_name(name: str) -> Text:
    """A worker's name, which gives way if the line is too long."""
    return Text(printable(name), no_wrap=True, overflow="ellipsis")


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _duration(seconds: float) -> str:
    """A duration in its two largest units, or in the largest alone from ten of it on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    units = [(hours, "h"), (minutes, "min"), (rest, "s")]
    while len(units) > 1 and not units[0][0]:
        del units[0]
    shown_units = units[:1] if units[0][0] >= 10 else units[:2]
    return " ".join(f"{number} {unit}" for number, unit in shown_units)


def _block(auc: float | None) -> str:
    """A bar for an AUC between .5 (empty) and 1; a dot where it is undefined."""
    if auc is None:
        return "·"
    return BLOCKS[min(len(BLOCKS) - 1, max(0, int((auc - 0.5) * 2 * len(BLOCKS))))]
