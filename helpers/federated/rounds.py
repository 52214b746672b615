"""The round loop: order, wait, take the result, go on. Who does the work is passed in."""

from collections.abc import Callable
from typing import Protocol

from helpers.federated.cohort import Cohort
from helpers.federated.messages import Reference, RoundResult, RunState, States
from helpers.federated.observers import Observer


class RoundExecutor(Protocol):
    """Runs a whole round somewhere: every client's training, then the aggregation."""

    def run_round(self, round_number: int, cohort: Cohort, weights: Reference, states: States) -> RoundResult:
        """Return the result of a round; raises what the executor's own errors are."""


def run_rounds(
    state: RunState,
    weights: Reference,
    states: States,
    *,
    rounds: int,
    patience: int,
    choose_cohort: Callable[[RunState], Cohort],
    executor: RoundExecutor,
    observer: Observer,
    is_asked_to_stop: Callable[[], bool] = lambda: False,
) -> RunState:
    """Run the rounds after `state.round` up to `rounds`, or until it is time to stop.

    Args:
        state: how far the run has come.
        weights: reference of the global weights at that point.
        states: references of what the clients remember at that point.
        rounds: the last round's number.
        patience: stop after so many rounds without a better one; 0 never does.
        choose_cohort: asked at the start of every round, by the state before it, who takes part.
        executor: runs one round.
        observer: told of every round.
        is_asked_to_stop: asked after every round.

    Returns:
        The state after the last round.
    """
    while has_next_round(state, rounds, patience):
        round_number = state.round + 1
        cohort = choose_cohort(state)
        observer.round_started(round_number, cohort.clients)
        result = executor.run_round(round_number, cohort, weights, states)
        state = RunState.from_message(result.state)
        weights = Reference.from_message(result.weights)
        states = result.states
        observer.round_finished(result)
        if is_asked_to_stop():
            break
    return state


def has_next_round(state: RunState, rounds: int, patience: int) -> bool:
    """Whether the run goes on after `state`, unless somebody asks it to stop."""
    return state.round < rounds and not has_lost_patience(state, patience)


def has_lost_patience(state: RunState, patience: int) -> bool:
    """Whether the last `patience` rounds brought no better model; never where `patience` is 0."""
    return 0 < patience <= state.round - (state.best_round or 0)
