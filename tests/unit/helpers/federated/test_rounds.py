"""The round loop: order of rounds, early stopping, requests to stop."""

from types import SimpleNamespace
from typing import Any

import pytest

from commands.training_options import parse
from distributed_training_index import run_all_rounds
from helpers.cluster.errors import QuorumMissed
from helpers.federated.cohort import Cohort
from helpers.federated.messages import Reference
from helpers.federated.results import RoundResult, RunState
from helpers.federated.rounds import has_lost_patience, run_rounds
from helpers.global_config import Config


class Recorder:
    """An executor whose weights and states are named after their round, and an observer."""

    def __init__(self) -> None:
        self.seen: list = []

    def run_round(self, round_number, cohort, weights, states):
        self.seen.append((round_number, cohort.clients, weights.key, states))
        state = RunState("r", round_number, "f", 1, 0.5, "f")
        reference = Reference(f"weights-{round_number}", 1, "x", ())
        states = {"1": {"key": f"state-{round_number}"}}
        return RoundResult(state.to_message(), reference.to_message(), {}, [], states)

    def run_started(self, run, state, rounds):
        self.seen.append(f"run from {state.round}")

    def notice(self, text):
        self.seen.append(text)

    def round_started(self, round_number, clients):
        self.seen.append(f"started {round_number}")

    def round_finished(self, result):
        self.seen.append(f"finished {result.state['round']}")


def test_rounds_follow_each_other_from_where_the_run_is() -> None:
    recorder = Recorder()
    state = run_rounds(
        RunState("r", 2, "f", None, None, None),
        Reference("weights-2", 1, "x", ()),
        {"0": {"key": "state-2"}},
        rounds=4,
        patience=0,
        choose_cohort=lambda state: Cohort(5, [0, state.round + 1]),
        run_round=recorder.run_round,
        observer=recorder,
    )
    assert state.round == 4
    assert recorder.seen == [
        "started 3", (3, [0, 3], "weights-2", {"0": {"key": "state-2"}}), "finished 3",
        "started 4", (4, [0, 4], "weights-3", {"1": {"key": "state-3"}}), "finished 4",
    ]  # fmt: skip


def test_a_finished_run_does_nothing() -> None:
    recorder = Recorder()
    state = RunState("r", 4, "f", None, None, None)
    assert rounds_after(state, recorder) == state
    assert recorder.seen == []


def rounds_after(state: RunState, recorder: Recorder, **options) -> RunState:
    options = {"rounds": 4, "patience": 0, "choose_cohort": lambda state: Cohort(2, [0, 1])} | options
    weights = Reference(f"weights-{state.round}", 1, "x", ())
    return run_rounds(state, weights, {}, run_round=recorder.run_round, observer=recorder, **options)


def test_it_stops_after_rounds_without_a_better_one() -> None:
    recorder = Recorder()  # whose best round stays the first
    state = rounds_after(RunState("r", 0, "f", None, None, None), recorder, rounds=9, patience=3)
    assert state.round == 4
    assert has_lost_patience(state, 3)
    assert not has_lost_patience(state, 4)
    assert not has_lost_patience(state, 0)
    assert rounds_after(state, recorder, rounds=9, patience=3) == state  # also when resumed


def test_it_stops_after_the_round_when_asked_to() -> None:
    recorder = Recorder()
    state = rounds_after(RunState("r", 0, "f", None, None, None), recorder, is_asked_to_stop=lambda: True)
    assert state.round == 1


def test_a_round_with_too_few_clients_for_its_strategy_is_not_begun() -> None:
    recorder, cohorts = Recorder(), iter([Cohort(5, [0, 1, 2, 3, 4]), Cohort(5, [0, 1, 3, 4])])
    started = {
        "state": RunState("r", 0, "f", None, None, None).to_message(),
        "weights": Reference("weights-0", 1, "x", ()).to_message(),
        "states": {},
    }
    executor: Any = SimpleNamespace(
        start_run=lambda **_: started, run_round=recorder.run_round, is_asked_to_stop=lambda: False
    )
    chooser: Any = SimpleNamespace(choose=lambda state: next(cohorts))
    observer: Any = recorder
    config = Config(STRATEGY="trimmed_mean", num_workers="auto")
    options = parse([])
    with pytest.raises(QuorumMissed, match=r"^round 2: TRIM_FRACTION: received 0\.2: of 4 clients"):
        run_all_rounds(options, config, "r", executor, chooser, observer)
    assert recorder.seen[-1] == "finished 1"


def test_a_run_whose_budget_is_spent_ends_with_a_notice() -> None:
    recorder = Recorder()
    spent = RunState("r", 3, "f", None, None, None, budget_is_spent=True)
    started = {
        "state": spent.to_message(),
        "weights": Reference("weights-3", 1, "x", ()).to_message(),
        "states": {},
    }
    executor: Any = SimpleNamespace(
        start_run=lambda **_: started, run_round=recorder.run_round, is_asked_to_stop=lambda: False
    )
    private = {"DP": "example", "DP_TARGET_EPSILON": 3, "ARCHITECTURE": "seed_cnn_groupnorm"}
    observer: Any = recorder
    state = run_all_rounds(parse([]), Config(**private), "r", executor, None, observer)  # type: ignore[arg-type]
    assert state == spent
    assert recorder.seen == ["run from 3", "stopped: another round would exceed DP_TARGET_EPSILON=3"]
