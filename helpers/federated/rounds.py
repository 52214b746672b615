"""The round loop: order, wait, take the result, go on. Who does the work is passed in."""

from typing import Protocol

from helpers.federated.messages import Reference, RoundResult, RunState
from helpers.federated.observers import Observer


class RoundExecutor(Protocol):
    """Runs a whole round somewhere: every client's training, then the aggregation."""

    def run_round(self, round_number: int, clients: list[int], weights: Reference) -> RoundResult:
        """Return the result of a round; raises what the executor's own errors are."""


def run_rounds(
    state: RunState,
    weights: Reference,
    *,
    rounds: int,
    num_clients: int,
    executor: RoundExecutor,
    observer: Observer,
) -> RunState:
    """Run the rounds after `state.round` up to `rounds`.

    Args:
        state: how far the run has come.
        weights: reference of the global weights at that point.
        rounds: the last round's number.
        num_clients: clients 0 … num_clients-1 take part in every round.
        executor: runs one round.
        observer: told of every round.

    Returns:
        The state after the last round.
    """
    clients = list(range(num_clients))
    for round_number in range(state.round + 1, rounds + 1):
        observer.round_started(round_number, clients)
        result = executor.run_round(round_number, clients, weights)
        state = RunState.from_message(result.state)
        weights = Reference.from_message(result.weights)
        observer.round_finished(result)
    return state
