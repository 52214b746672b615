"""Observers: broadcasting, the registry of built-in ones, and users' own classes in OBSERVERS."""

import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import fakeredis
import numpy as np
import pytest
from rich.console import Console

from helpers.federated.observers import EVENTS, Observer, Observers
from helpers.global_config import Config
from helpers.monitoring.registry import BUILT_IN, make_observers
from helpers.run_records.files import RunFolders
from helpers.settings.errors import ConfigError

OWN = r"""
from helpers.federated.observers import Observer

calls = []

class Recorder(Observer):
    def __init__(self, config, folders):
        calls.append((config.EPOCHS, folders.metrics.name))
    def run_started(self, run, state, rounds):
        calls.append((run, rounds))
    def notice(self, text):
        calls.append(text)

class Broken:
    def __init__(self, config, folders): ...
    def round_started(self, round_number, clients):
        raise ValueError("no\nnetwork")
    def round_finished(self, result):
        raise SystemExit

class Unfit:
    pass
"""


@pytest.fixture
def config(tmp_path, monkeypatch) -> Config:
    (tmp_path / "own_observers.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_observers", raising=False)
    return Config(METRICS_DIR=tmp_path / "metrics", MODELS_DIR=tmp_path / "models", EPOCHS=7)


def observe(config: Config, *names: str, **options: object) -> tuple[Observer, StringIO]:
    """Return the observers of a run, and what they print."""
    config = config.model_copy(update={"OBSERVERS": names})
    console = Console(file=StringIO(), width=200)
    folders, redis = RunFolders.of(config, "first"), fakeredis.FakeRedis()
    return make_observers(config, folders, console, redis, **options), console.file


def test_every_call_goes_to_every_observer_in_order():
    calls = []

    class Named(Observer):
        def __init__(self, name: str) -> None:
            self._name = name

        def notice(self, text: str) -> None:
            calls.append((self._name, text))

    Observers([Named("a"), Named("b")]).notice("x")
    assert calls == [("a", "x"), ("b", "x")]
    assert EVENTS == ("run_started", "round_started", "progress", "round_finished", "notice", "close")


def test_the_terminal_and_the_report_are_always_there(config):
    observer, output = observe(config)
    observer.run_started("first", SimpleNamespace(round=0), 7)
    observer.close()
    assert "Run first: 7 rounds" in output.getvalue()
    assert (config.METRICS_DIR / "first/report.html").exists()
    assert not (config.METRICS_DIR / "first/tensorboard").exists()


@pytest.mark.parametrize("how", [{"names": ("tensorboard",)}, {"with_tensorboard": True}])
def test_tensorboard_is_written_once_if_asked_for(config, how):
    asked = []

    def examples() -> np.ndarray:
        asked.append(1)
        return np.zeros((1, 4, 4, 3), np.float32)

    options = {name: value for name, value in how.items() if name != "names"}
    observer, _ = observe(config, *how.get("names", ()), examples=examples, **options)
    observer.run_started("first", SimpleNamespace(round=0), 7)
    observer.close()
    assert len(list(Path(config.METRICS_DIR / "first/tensorboard/averaged").iterdir())) == len(asked) == 1


def test_a_custom_class_gets_the_calls(config):
    observer, _ = observe(config, "own_observers:Recorder")
    observer.run_started("first", SimpleNamespace(round=0), 7)
    observer.notice("worker lost")
    observer.close()
    assert sys.modules["own_observers"].calls == [(7, "first"), ("first", 7), "worker lost"]


def test_errors_of_a_custom_class_are_reported_once_in_one_line_and_do_not_end_the_run(config):
    observer, output = observe(config, "own_observers:Broken", "own_observers:Recorder")
    for number in (1, 2):
        observer.round_started(number, [0])
    result = SimpleNamespace(
        metrics={"round": 1, "train_loss": 1, "val_loss": 1, "roc_auc": 1, "seconds": 1},
        clients=[], state={"best_round": 1},
    )  # fmt: skip
    observer.round_finished(result)
    observer.progress(SimpleNamespace(replied=0, clients=3))  # the class has no such method
    observer.close()
    (line,) = [line for line in output.getvalue().splitlines() if "own_observers" in line]
    assert "observer own_observers:Broken failed in round_started: ValueError: no network; the run" in line


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "tensorbord",
            "received 'tensorbord'; use one of terminal, report, feed, tensorboard, mlflow, or package",
        ),
        ("no_such_module:Watch", "received 'no_such_module:Watch': importing .* ModuleNotFoundError: No"),
        ("own_observers:Nothing", "received 'own_observers:Nothing': own_observers has no function"),
        (
            "own_observers:Unfit",
            r"own_observers:Unfit failed: TypeError: .*Unfit\(config, folders\) must",
        ),
    ],
)
def test_unusable_names_are_refused_at_the_start(config, name, said):
    with pytest.raises(ConfigError, match=f"^OBSERVERS: {said}"):
        observe(config, name)
    assert list(BUILT_IN) == ["terminal", "report", "feed", "tensorboard"]


def test_mlflow_without_its_package_says_what_to_install(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match=r"^OBSERVERS: mlflow needs a package; .* requirements-mlflow\.txt"):
        observe(config, "mlflow")


def test_the_setting_is_a_list_of_names_of_this_machine():
    config = Config.load(OBSERVERS="tensorboard, a.b:C")
    assert config.OBSERVERS == ("tensorboard", "a.b:C")
    assert "OBSERVERS" not in config.for_run()
