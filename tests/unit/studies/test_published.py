"""Studies of publications: their cases, and rows of the page."""

import pandas as pd
import pytest

from commands import training_options
from helpers.global_config import Config
from helpers.settings.command_line import config_from_arguments
from studies import fedavg_paper, niid_bench
from tests.unit.studies.made_up_outcomes import made_up


def with_accuracies(title, accuracies):
    one = made_up(title=title)
    numbers = range(1, len(accuracies) + 1)
    object.__setattr__(one.files, "rounds", pd.DataFrame({"round": numbers, "accuracy": accuracies}))
    return one


@pytest.mark.parametrize("study", [niid_bench, fedavg_paper])
def test_every_case_has_settings_that_the_command_accepts(study):
    names = [case.name for case in study.cases()]
    assert len(set(names)) == len(names) == sum(len(values) for values in study.PUBLISHED.values())
    for case in study.cases():
        config_from_arguments(Config, training_options.parse([*study.COMMON, *case.options]))


def test_niid_bench_shows_the_best_and_the_last_round():
    outcomes = {case.name: with_accuracies(case.title, [0.9, 0.5]) for case in niid_bench.cases()}
    del outcomes["two_classes-fednova"]
    *rows, last = niid_bench.to_rows(outcomes)
    assert (rows[0].what, rows[0].published) == ("accuracy, IID: FedAvg", ".892, best of 50 rounds")
    assert {row.ours for row in rows} == {"0.900, best of 2 rounds; last 0.500"}
    assert (last.what, last.ours) == ("accuracy, two classes a client: FedNova", "not measured yet")


def test_the_fedavg_paper_compares_with_fedsgd():
    outcomes = {case.name: with_accuracies(case.title, [0.5]) for case in fedavg_paper.cases()}
    outcomes["iid-E1-all"] = with_accuracies("", [0.1] * 9 + [0.96, 0.5])
    outcomes["iid-E5-B10"] = with_accuracies("", [0.2, 0.95])
    outcomes["shards-E5-B10"] = outcomes["iid-E5-B10"]
    del outcomes["shards-E1-all"], outcomes["shards-E1-B10"]
    rows = fedavg_paper.to_rows(outcomes)
    assert (rows[0].published, rows[0].ours) == ("626 rounds to 99 %", "10 rounds to 95 %")
    assert (rows[3].published, rows[3].ours) == ("20 rounds to 99 %, 31.3×", "2 rounds to 95 %, 5.0×")
    assert rows[1].ours == "not in 1 rounds; at best 50.0 %"
    assert (rows[4].published, rows[4].ours) == ("483 rounds to 99 %", "not measured yet")
    assert rows[7].ours == "2 rounds to 95 %"
