"""Which runs the study of federated learning makes, and which it skips."""

import contextlib
import json
from pathlib import Path

import pytest

import distributed_training_index
from benchmarks.synthetic_data import write_prepared
from helpers.federated.quorum import num_tolerated, updates_needed
from helpers.global_config import Config
from helpers.settings.command_line import config_from_arguments
from helpers.settings.errors import UserError
from studies import federated, runs
from studies.cases import (
    COMMON,
    Case,
    algorithm_cases,
    honest,
    liar_cases,
    local_cases,
    partition_cases,
    pooled,
    update_cases,
)
from studies.images import Images
from studies.runs import Study
from studies.study import first_cases, later_cases
from tests.unit.studies.made_up_outcomes import made_up


def all_cases() -> list[Case]:
    divisions = partition_cases(4)
    cases = [pooled(), *local_cases(list("abcd")), *divisions, *update_cases(4), honest(), *liar_cases()]
    return cases + [case for division in divisions for case in algorithm_cases(division)]


def config_of(case: Case) -> Config:
    return config_from_arguments(Config, distributed_training_index.parse([*COMMON, *case.options]))


def test_every_case_has_a_name_of_its_own_and_settings_that_are_taken():
    cases = all_cases()
    assert len({case.name for case in cases}) == len(cases)
    settings = [config_of(case).for_run() for case in cases]
    differ = {tuple(sorted((name, str(value)) for name, value in each.items())) for each in settings}
    # What a lie is stands in no setting: both have the same four rules, the first being that of the honest.
    assert len(differ) == len(cases) - 5
    assert {each["TRAIN_STEP"] for each in settings} == {"fast"}


def test_every_robust_rule_is_set_for_two_liars_and_has_the_clients_it_needs():
    counted = {}
    for case in liar_cases():
        config = config_of(case)
        arguments = config.STRATEGY, config.TRIM_FRACTION, config.NUM_MALICIOUS, config.NUM_CLIENTS
        liars = num_tolerated(*arguments)
        assert updates_needed(config.STRATEGY, liars) <= config.NUM_CLIENTS
        counted.setdefault(case.lie, []).append((config.STRATEGY, config.NUM_CLIENTS, liars))
    rules = [
        ("fedavg", 6, 0),
        ("median", 6, 0),
        ("trimmed_mean", 6, 2),
        ("multi_krum", 7, 2),
    ]
    assert counted == {"labels": rules, "noise": rules}


def study_in(folder: Path, rounds: int = 2) -> Study:
    images = Images(folder / "images", folder / "prepared", (16, 16), print)
    return Study(folder, images, rounds, print)


@pytest.fixture
def calls(monkeypatch):
    """What is started, in order; every training that is started is finished at once."""
    started = []

    @contextlib.contextmanager
    def pipeline(folder, prepared, count, *, app, more):
        started.append((app, more.get("STUDY_LIE")))
        yield type("Pipeline", (), {"environment": more})

    def start(command, output, environment):
        started.append(" ".join(command[2:4]))
        folder = Path(environment["DT_METRICS_DIR"]) / command[3]
        folder.mkdir(parents=True)
        config = config_from_arguments(Config, distributed_training_index.parse(command[2:]))
        (folder / "run.json").write_text(json.dumps({"settings": config.for_run()}))
        (folder / "test.csv").write_text("")
        return type("Process", (), {"wait": lambda self: 0, "poll": lambda self: 0})()

    monkeypatch.setattr(runs, "Pipeline", pipeline)
    monkeypatch.setattr(runs, "start_apart", start)
    monkeypatch.setattr(Study, "outcome", lambda self, seed, case: made_up())
    monkeypatch.setattr(Images, "prepared", lambda self, seed: type("Data", (), {"folder": Path("prepared")}))
    return started


def test_finished_runs_are_skipped_and_begun_ones_go_on(tmp_path, calls):
    study = study_in(tmp_path)
    state = tmp_path / "models/seed-5-honest/state.json"
    state.parent.mkdir(parents=True)
    state.write_text("{}")
    cases = [pooled(), liar_cases()[0], honest(), liar_cases()[-1]]
    study.run_cases(5, cases)
    assert calls == [
        ("celery_app", None),
        "--run seed-5-pooled",
        "--resume seed-5-honest",
        ("studies.lying_clients", "labels"),
        "--run seed-5-labels-fedavg",
        ("studies.lying_clients", "noise"),
        "--run seed-5-noise-krum",
    ]
    calls.clear()
    study.run_cases(5, cases)
    assert calls == []


def test_a_finished_run_with_other_settings_is_not_taken_for_what_is_asked(tmp_path, calls):
    study_in(tmp_path).run_cases(5, [pooled()])
    with pytest.raises(UserError, match="run seed-5-pooled is finished, but EPOCHS was 2, is 3; set it back"):
        study_in(tmp_path, rounds=3).run_cases(5, [pooled()])


def test_other_images_than_those_prepared_are_refused(tmp_path):
    write_prepared(tmp_path / "prepared/seed-1", 4, 2, (16, 16))  # their folder has no name
    with pytest.raises(UserError, match=r"--data-dir: received images, but .* name another --out"):
        study_in(tmp_path).images.prepared(1)


def test_what_is_run_for_each_seed():
    sites = ["GE", "Toshiba"]
    assert [case.name for case in first_cases(sites, liars=True)] == [
        *("pooled", "alone-0", "alone-1", "iid", "site", "dirichlet", "honest")
    ]
    later = [case.name for case in later_cases(sites, 1, liars=True, few=False)]
    assert later[:4] == ["site-fedprox", "site-fedadam", "site-sgd", "site-scaffold"]
    assert later[4:6] == ["iid-float16", "iid-int8"]
    assert len(later) == 4 + 2 + 2 * 4
    assert [case.name for case in later_cases(sites, 2, liars=True, few=True)] == [
        *("dirichlet-fedprox", "iid-float16", "labels-median", "noise-median")
    ]


def test_without_liars_nobody_lies_and_their_reference_is_left_out():
    cases = [*first_cases(["GE"], liars=False), *later_cases(["GE"], 0, liars=False, few=False)]
    assert [case.name for case in cases if case.lie or case.name == "honest"] == []
    assert len(cases) == 5 + 4 + 2


def test_progress_counts_runs_that_were_finished_before(tmp_path, calls):
    told = []
    study = Study(tmp_path, study_in(tmp_path).images, 2, told.append)
    study.run_cases(5, [pooled()])
    study.expect(3)
    study.run_cases(5, [pooled(), honest()])
    assert " 2 of 3  seed-5-honest: " in told[-1]


def test_the_command_that_is_told_names_no_folder():
    options = federated.parse(["--seeds", "4", "5", "--out", "/somewhere", "--data-dir", "/there"])
    without = federated.parse(["--no-liars"])
    assert federated.command_of(without).endswith(" --no-liars")
    assert federated.command_of(options) == (
        "python studies/federated.py --seeds 4 5 --rounds 10 --reach 0.7"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "1", "1"], "--seeds: received [1, 1], expected different whole numbers from 0 on"),
        (["--rounds", "0"], "--rounds: received 0, expected at least 1"),
    ],
)
def test_wrong_options_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        federated.parse(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
