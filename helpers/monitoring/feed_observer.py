"""Observer that writes the events of a run to its feed, from which `run.py watch` shows them."""

from helpers.cluster.run_feed import RunFeed
from helpers.federated.observers import Observer
from helpers.federated.results import RoundResult, RunState
from helpers.settings.outside_text import printable

SHOWN_METRICS = ("round", "train_loss", "val_loss", "roc_auc", "seconds")
"""The columns of rounds.csv that the page shows."""
MOST_CHARACTERS = 2000
"""Longest notice."""


class FeedObserver(Observer):
    """Writes a few hundred bytes to Redis per round.

    Args:
        feed: of the run.
    """

    def __init__(self, feed: RunFeed) -> None:
        self._feed = feed
        self._rounds = 0

    def run_started(self, run: str, state: RunState, rounds: int) -> None:
        self._rounds = rounds
        self._feed.add("started", round=state.round, rounds=rounds)

    def round_started(self, round_number: int, clients: list[int]) -> None:
        self._feed.add("round_started", round=round_number, clients=len(clients))

    def round_finished(self, result: RoundResult) -> None:
        metrics = {name: result.metrics.get(name) for name in SHOWN_METRICS}
        best = result.state["best_round"]  # and the rounds once more, as the feed keeps its last entries only
        is_best = best == metrics["round"]
        self._feed.add("round", **metrics, is_best=is_best, best_round=best, rounds=self._rounds)

    def notice(self, text: str) -> None:
        self._feed.add("notice", text=printable(text)[:MOST_CHARACTERS])
