"""`run.py repeat`."""

from io import StringIO
from pathlib import Path
from types import SimpleNamespace

from rich.console import Console

from commands.repeat import train_all, write_results
from commands.repetitions import Repetition
from helpers.global_config import Config
from tests.unit.helpers.reporting.test_report import write_run


def repetition(number: int, *, is_finished: bool = False) -> SimpleNamespace:
    request = None if is_finished else f"request {number}"
    return SimpleNamespace(
        name=f"seed {number}", run=f"mine-seed-{number}", request=lambda words, workers: request
    )


def test_trainings_run_in_order_until_one_fails_and_finished_ones_are_skipped(capsys):
    trained = []

    def train(request, workers):
        trained.append(request)
        return 3 if request == "request 3" else 0

    each = [repetition(1), repetition(2, is_finished=True), repetition(3), repetition(4)]
    assert train_all(each, [], None, train) == 3
    assert trained == ["request 1", "request 3"]
    assert capsys.readouterr().out.splitlines() == [
        "Training 1 of 4, seed 1: run mine-seed-1",
        "Training 2 of 4, seed 2: finished",
        "Training 3 of 4, seed 3: run mine-seed-3",
    ]


def test_the_results_are_printed_and_written(tmp_path):
    for name in ("mine-fold-1", "mine-fold-2"):
        write_run(tmp_path, name)
    config = Config.load(METRICS_DIR=tmp_path / "metrics", MODELS_DIR=tmp_path / "models")
    console = Console(file=StringIO(), width=80)
    each = [Repetition(f"fold {fold}", f"mine-fold-{fold}", (), Path()) for fold in (1, 2)]
    write_results(config, "mine", each, "It counts folds.", console)
    text = console.file.getvalue()
    assert "Test of 2 trainings" in text
    assert "sensitivity (recall) 0.800 0.000 – 0.800 0.800" in " ".join(text.split())
    assert "It counts folds." in text
    assert (tmp_path / "metrics/mine/repeat.html").exists()
