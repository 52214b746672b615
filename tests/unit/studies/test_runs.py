"""Runs of the study: finished ones are skipped, begun ones are resumed."""

import contextlib
import json
from pathlib import Path

import pytest

from benchmarks.synthetic_data import write_prepared
from commands import training_options
from helpers.global_config import Config
from helpers.settings.command_line import config_from_arguments
from helpers.settings.errors import UserError
from preprocessing.feed.prepared_data import PreparedData
from studies import runs
from studies.cases import (
    honest,
    liar_cases,
    pooled,
)
from studies.images import Images
from studies.runs import Study
from tests.unit.studies.made_up_outcomes import made_up


def study_in(folder: Path, rounds: int = 2) -> Study:
    images = Images(folder / "images", folder / "prepared", (16, 16), print)
    return Study(folder, images, rounds, print)


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """What is started, in order; every training that is started is finished at once."""
    started = []
    write_prepared(tmp_path / "data", 4, 2, (16, 16))
    data = PreparedData.open(tmp_path / "data")

    @contextlib.contextmanager
    def pipeline(folder, prepared, count, *, app, more):
        started.append((app, more.get("STUDY_LIE")))
        yield type("Pipeline", (), {"environment": more})

    def start(command, output, environment):
        started.append(" ".join(command[2:4]))
        folder = Path(environment["DT_METRICS_DIR"]) / command[3]
        folder.mkdir(parents=True)
        config = config_from_arguments(Config, training_options.parse(command[2:]))
        settings = config.for_run() | {"CLASS_NAMES": list(data.class_names)}  # as a training records them
        (folder / "run.json").write_text(json.dumps({"settings": settings}))
        (folder / "test.csv").write_text("")
        return type("Process", (), {"wait": lambda self: 0, "poll": lambda self: 0})()

    monkeypatch.setattr(runs, "Pipeline", pipeline)
    monkeypatch.setattr(runs, "start_apart", start)
    monkeypatch.setattr(Study, "outcome", lambda self, seed, case: made_up())
    monkeypatch.setattr(Images, "prepared", lambda self, seed: data)
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


def test_progress_counts_runs_that_were_finished_before(tmp_path, calls):
    lines = []
    study = Study(tmp_path, study_in(tmp_path).images, 2, lines.append)
    study.run_cases(5, [pooled()])
    study.expect(3)
    study.run_cases(5, [pooled(), honest()])
    assert " 2 of 3  seed-5-honest: " in lines[-1]
