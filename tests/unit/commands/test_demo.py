"""The demo: what an interrupted and a repeated one leave."""

from pathlib import Path
from typing import Any

import pytest

from commands import demo
from commands.run_request import RunRequest


class Demo:
    """The command with a training that is made up; `status` and `has_state` are how it ends."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.status, self.has_state = folder, 0, True
        self.request: RunRequest | None = None
        monkeypatch.chdir(folder)
        self.prepared: list[str] = []
        monkeypatch.setattr(
            demo.load_and_create_dataset, "main", lambda options: self.prepared.extend(options) or 0
        )
        monkeypatch.setattr(demo, "run_training", self._train)
        monkeypatch.setattr(demo, "unwind_when_terminated", lambda: None)
        monkeypatch.setattr("commands.run_request.take_from_others", lambda run, models_dir, force: None)
        monkeypatch.setattr("commands.run_request.config_to_resume", lambda _, config: config)
        monkeypatch.setenv("DT_METRICS_DIR", str(folder / "metrics"))
        monkeypatch.setenv("DT_MODELS_DIR", str(folder / "models"))

    def _train(self, request: RunRequest, *_: Any, **__: Any) -> int:
        self.request = request
        if self.has_state:
            self.write("demo", "state.json")
        if self.status == 0:
            self.finish("new")
        return self.status

    def write(self, run: str, name: str, text: str = "") -> None:
        for place in ("metrics", "models"):
            (self.folder / place / run).mkdir(parents=True, exist_ok=True)
            (self.folder / place / run / name).write_text(text)

    def finish(self, text: str) -> None:
        for name in ("test.csv", "best.keras"):
            self.write("demo", name, text)

    def test_of(self, run: str) -> str:
        file = self.folder / "metrics" / run / "test.csv"
        return file.read_text() if file.exists() else ""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Demo:
    return Demo(tmp_path, monkeypatch)


def test_a_finished_demo_replaces_the_one_before(run: Demo) -> None:
    run.finish("old")
    assert demo.main([]) == 0
    assert (run.test_of("demo"), run.test_of(demo.KEPT)) == ("new", "")


def test_an_interrupted_demo_keeps_the_finished_one(run: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    run.finish("old")
    run.status = 130
    assert demo.main([]) == 130
    assert run.test_of(demo.KEPT) == "old"
    assert "the last finished demo is kept in" in capsys.readouterr().out
    assert demo.main([]) == 130  # not a finished one in its place
    assert run.test_of(demo.KEPT) == "old"
    run.status = 0
    assert demo.main(["--resume", "demo"]) == 0
    assert (run.test_of("demo"), run.test_of(demo.KEPT)) == ("new", "")


def test_a_demo_that_never_began_leaves_all_as_it_was(run: Demo) -> None:
    run.finish("old")
    run.status, run.has_state = 3, False
    assert demo.main([]) == 3
    assert (run.test_of("demo"), run.test_of(demo.KEPT)) == ("old", "")


def test_images_are_prepared_as_the_options_ask(run: Demo) -> None:
    demo.main(["--seed", "1", "--input-shape", "32,32"])
    for option, value in (("--seed", "1"), ("--input-shape", "32,32"), ("--input-dim", "3")):
        assert run.prepared[run.prepared.index(option) + 1] == value


def test_it_prints_a_command_that_continues_it(run: Demo) -> None:
    demo.main(["--epochs", "3"])
    assert run.request is not None
    words = run.request.arguments
    assert words[words.index("--resume-with") + 1] == "python run.py demo --epochs 3"
    assert "--overwrite" in words


def test_options_that_name_the_run_are_left_out_of_that_command() -> None:
    words = ["--run", "x", "--overwrite", "--epochs=3", "--resume=y", "--resume", "z"]
    assert demo._without_name(words) == ["--epochs=3"]
