"""Cases: names, settings and the clients that robust rules need."""

from commands import training_options
from helpers.federated.strategies import STRATEGIES
from helpers.global_config import Config
from helpers.settings.command_line import config_from_arguments
from studies.cases import (
    ALGORITHMS,
    COMMON,
    Case,
    honest,
    liar_cases,
    local_cases,
    partition_cases,
    pooled,
    update_cases,
)


def all_cases() -> list[Case]:
    divisions = partition_cases(4)
    cases = [pooled(), *local_cases(list("abcd")), *divisions, *update_cases(4), honest(), *liar_cases()]
    return cases + [
        case for division in divisions for each in ALGORITHMS for case in each.candidates(division)
    ]


def config_of(case: Case) -> Config:
    return config_from_arguments(Config, training_options.parse([*COMMON, *case.options]))


def test_cases_differ_in_name_and_settings():
    cases = all_cases()
    assert len({case.name for case in cases}) == len(cases)
    settings = [config_of(case).for_run() for case in cases]
    differ = {tuple(sorted((name, str(value)) for name, value in each.items())) for each in settings}
    # Attacks are not settings: both have the same four rules, and the first is also that of the honest case.
    # FedAvg is also tried with the recipe's own rate, under each of three partitions.
    assert len(differ) == len(cases) - 5 - 3
    assert {each["TRAIN_STEP"] for each in settings} == {"fast"}


def test_every_robust_rule_is_set_for_two_liars_and_has_the_clients_it_needs():
    counted = {}
    for case in liar_cases():
        config = config_of(case)
        strategy = STRATEGIES[config.STRATEGY](config.for_run())
        assert strategy.shortage(config.NUM_CLIENTS) == ""
        trimmed = int(config.TRIM_FRACTION * config.NUM_CLIENTS)
        liars = {"trimmed_mean": trimmed, "multi_krum": config.NUM_MALICIOUS}.get(config.STRATEGY, 0)
        counted.setdefault(case.lie, []).append((config.STRATEGY, config.NUM_CLIENTS, liars))
    rules = [
        ("fedavg", 6, 0),
        ("median", 6, 0),
        ("trimmed_mean", 6, 2),
        ("multi_krum", 7, 2),
    ]
    assert counted == {"labels": rules, "noise": rules}


def test_every_algorithm_has_the_same_number_of_trainings_to_be_tuned():
    assert {len(set(each.values)) for each in ALGORITHMS} == {3}
