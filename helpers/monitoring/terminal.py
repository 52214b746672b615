"""A run in the terminal while it lasts: a live view, and a line a round."""

import time
from collections import deque
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from helpers.federated.messages import RoundResult, RunState
from helpers.federated.observers import RoundProgress
from helpers.monitoring.result_tables import shown

LATE = 1.5
"""A client that takes so many times as long as is usual is called late. Usual is the slowest of the round
before; in a session's first round, what it took until half of the clients had replied."""
BLOCKS = "▁▂▃▄▅▆▇█"


class TerminalObserver:
    """Prints a run to `console`; the live view is only there where that is a terminal.

    Args:
        console: where to.
        batch_size: images per batch, to tell the speed of a worker.
    """

    def __init__(self, console: Console, batch_size: int) -> None:
        self._console = console
        self._batch_size = batch_size
        self._rounds = 0
        self._first_round = 1
        self._round = 0
        self._started = self._round_began = time.monotonic()
        self._usual_s = float("inf")
        self._aucs: deque[float | None] = deque(maxlen=60)
        self._seen: set[str] = set()
        self._live = (
            Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None
        )

    def run_started(self, run: str, state: RunState, rounds: int) -> None:
        self._rounds, self._first_round = rounds, state.round + 1
        self._started = time.monotonic()
        done = f", {state.round} of them done" if state.round else ""
        self._console.print(f"Run [bold]{run}[/]: {rounds} rounds{done}")
        if self._live is not None:
            self._live.start()

    def round_started(self, round_number: int, clients: list[int]) -> None:
        self._round = round_number
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
        best = "  [green]best so far[/]" if result.state["best_round"] == row["round"] else ""
        left = f"{row['seconds']:.1f} s, {self._left_s(row['round']):.0f} s left"
        self._console.print(
            f"Round {row['round']}/{self._rounds}  loss {shown(row['train_loss'])}  "
            f"validation: loss {shown(row['val_loss'])}  accuracy {shown(row['accuracy'])}  "
            f"AUC {shown(row['roc_auc'])}  {left}{best}",
            highlight=False,
            soft_wrap=True,
        )

    def notice(self, text: str) -> None:
        line = Text(time.strftime("%H:%M:%S "), style="yellow").append(text, style="default")
        self._console.print(line, soft_wrap=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()

    def _left_s(self, rounds_done: int) -> float:
        done = rounds_done - self._first_round + 1
        return (time.monotonic() - self._started) / done * (self._rounds - rounds_done)

    def _view(self, progress: RoundProgress) -> RenderableType:
        head = Text(
            f"Round {progress.round}/{self._rounds}, {progress.replied} of {progress.clients} clients done"
        )
        if progress.round > self._first_round:
            head.append(f", {self._left_s(progress.round - 1):.0f} s left")
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, status in progress.workers.items():
            table.add_row(Text(name), *self._of_worker(status["task"]))
        self._seen.update(progress.workers)
        for name in sorted(self._seen - progress.workers.keys()):
            table.add_row(Text(name), "[red]no sign of life[/]")
        curve = Text("validation AUC " + "".join(_block(auc) for auc in self._aucs), style="cyan")
        return Group(head, table, *([curve] if self._aucs else []))

    def _of_worker(self, task: dict[str, Any] | None) -> tuple[RenderableType, ...]:
        if task is None:
            return ("idle",)
        batch, batches, seconds = task.get("batch", 0), task.get("batches", 0), task.get("seconds", 0.0)
        what = task["job"].replace("train:", "client ").replace(f"client {self._round}:", "client ")
        if not batches:
            return (what,)
        speed = f"{batch * self._batch_size / seconds:.0f} images/s" if seconds > 0 and batch else ""
        late = "[yellow]late[/]" if seconds > LATE * self._usual_s else ""
        return (what, ProgressBar(batches, batch, width=20), f"batch {batch}/{batches}", speed, late)


def _block(auc: float | None) -> str:
    """A bar for an AUC between .5 (empty) and 1; a dot where it is undefined."""
    if auc is None:
        return "·"
    return BLOCKS[min(len(BLOCKS) - 1, max(0, int((auc - 0.5) * 2 * len(BLOCKS))))]
