"""The round loop: choose clients, run the round, take the result, go on."""

from collections.abc import Callable

from helpers.federated.cohort import Cohort
from helpers.federated.messages import Reference, States
from helpers.federated.observers import Observer
from helpers.federated.results import RoundResult, RunState


def run_rounds(
    state: RunState,
    weights: Reference,
    states: States,
    *,
    rounds: int,
    patience: int,
    choose_cohort: Callable[[RunState], Cohort],
    run_round: Callable[[int, Cohort, Reference, States], RoundResult],
    observer: Observer,
    is_asked_to_stop: Callable[[], bool] = lambda: False,
) -> RunState:
    """Run the rounds after `state.round` and return the state after the last one.

    Args:
        state: how far the run has come.
        weights: reference of the global weights at that point.
        states: references of the clients' states at that point.
        rounds: number of the last round.
        patience: rounds without a better model after which to stop; 0 never stops early.
        choose_cohort: called at the start of every round with the state before it.
        run_round: runs one round: every client's training, then the aggregation.
        observer: notified of every round.
        is_asked_to_stop: called after every round.
    """
    while has_next_round(state, rounds, patience):
        round_number = state.round + 1
        cohort = choose_cohort(state)
        observer.round_started(round_number, cohort.clients)
        result = run_round(round_number, cohort, weights, states)
        state = RunState.from_message(result.state)
        weights = Reference.from_message(result.weights)
        states = result.states
        observer.round_finished(result)
        if is_asked_to_stop():
            break
    return state


def has_next_round(state: RunState, rounds: int, patience: int) -> bool:
    """Return whether a round follows `state`, unless somebody asks to stop."""
    return state.round < rounds and not (state.budget_is_spent or has_lost_patience(state, patience))


def has_lost_patience(state: RunState, patience: int) -> bool:
    """Return whether the last `patience` rounds brought no better model; never where `patience` is 0."""
    return 0 < patience <= state.round - (state.best_round or 0)
