"""The fence: a task that was stopped anywhere and wakes later changes nothing of a run that went on."""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.federated.messages import RoundOrder, StartOrder
from helpers.federated.results import Averaged
from helpers.federated.weights import schema_of
from helpers.run_records import fence
from helpers.run_records.checkpoint import read_state
from helpers.run_records.files import PLACES, RecordError, RunFolders, TakenOver, remove, write_whole
from helpers.run_records.run_log import begin_run, commit_round, resume_run

SCHEMA = schema_of(["a"], [np.zeros(3, np.float32)])
FACTS: tuple[Any, ...] = ("r", "s", {"EPOCHS": 9}, "digest", {}, 0)
STEPS = ("open", "replace", "rename", "unlink", "mkdir", "glob", "exists", "read_bytes", "iterdir")
"""Operations of pathlib before which a task may be stopped."""

IsWanted = Callable[[], bool]


def wanted() -> bool:
    return True


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture
def folders(tmp_path: Path) -> RunFolders:
    return RunFolders(tmp_path / "metrics" / "r", tmp_path / "models" / "r")


def start(folders: RunFolders, is_wanted: IsWanted = wanted, *, overwrite: bool = False) -> None:
    fence.take_over(folders, is_wanted)
    begin_run(folders, StartOrder(*FACTS, False, overwrite), SCHEMA, [np.zeros(3, np.float32)])


def resume(folders: RunFolders, is_wanted: IsWanted = wanted) -> None:
    fence.take_over(folders, is_wanted)
    resume_run(folders, StartOrder(*FACTS, True), SCHEMA)


def aggregate(folders: RunFolders, number: int, is_wanted: IsWanted = wanted, value: float = 1.0) -> None:
    fence.take_over(folders, is_wanted)
    order = RoundOrder(*FACTS, number, [0], {}, 0.0, num_clients=1)
    rows: Any = {"rounds.csv": [{"round": number, "roc_auc": value / number}]}
    rows["clients.csv"] = [{"round": number, "client": 0}]
    weights = [np.full(3, number * value, np.float32)]
    commit_round(folders, order, SCHEMA, weights, Averaged({}, {}, [], {}, {}, None), rows)


def finish(folders: RunFolders) -> None:
    fence.take_over(folders, wanted)
    remove(folders.metrics / "cases.npz")
    write_whole(folders.models / "best.keras", b"best")
    fence.release()


def in_another_task(do: Callable[..., Any], *arguments: Any) -> Any:
    return copy_context().run(do, *arguments)


def rounds_and_end(folders: RunFolders, *rounds: int) -> None:
    for number in rounds:
        in_another_task(aggregate, folders, number)
    in_another_task(finish, folders)


def content(folders: RunFolders) -> dict[Path, bytes]:
    both = (folders.models, folders.metrics)
    return {path: path.read_bytes() for folder in both for path in folder.iterdir() if path.is_file()}


@contextlib.contextmanager
def stopped_at(step: int, meanwhile: Callable[[], None], patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stop this task before its file operation number `step` until others have done `meanwhile`."""
    steps, is_elsewhere = 0, False

    def stopping(real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*arguments: Any, **options: Any) -> Any:
            nonlocal steps, is_elsewhere
            steps += not is_elsewhere
            if steps == step and not is_elsewhere:
                is_elsewhere = True
                meanwhile()
                is_elsewhere = False
                steps += 1
            return real(*arguments, **options)

        return operation

    with patch.context() as local:
        for name in STEPS:
            local.setattr(Path, name, stopping(getattr(Path, name)))
        yield


def stop_everywhere(
    prepare: Callable[[RunFolders], None], task: Callable[[RunFolders], None],
    meanwhile: Callable[[RunFolders], None], tmp_path: Path, patch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Stop `task` before each of its file operations; what `meanwhile` left must be there in the end."""
    for step in range(1, 200):
        folders = RunFolders(tmp_path / str(step) / "metrics" / "r", tmp_path / str(step) / "models" / "r")
        in_another_task(prepare, folders)
        left: dict[Path, bytes] = {}

        def go_on(folders: RunFolders = folders, left: dict[Path, bytes] = left) -> None:
            in_another_task(meanwhile, folders)
            left.update(content(folders))

        with stopped_at(step, go_on, patch), contextlib.suppress(RecordError):
            in_another_task(task, folders)
        if not left:
            assert step > 20, "the task failed by itself"
            return
        assert read_state(folders)[0].round == 3, step
        assert content(folders) == left, step
    raise AssertionError("the task never ended")


# Before its own take-over a task is stopped by asking the job board: here, by what `is_wanted` sees.


def test_a_start_that_sleeps_anywhere_changes_nothing_later(tmp_path, monkeypatch):
    def task(folders: RunFolders) -> None:
        start(folders, lambda: not (folders.state.exists() and read_state(folders)[0].round), overwrite=True)

    def meanwhile(folders: RunFolders) -> None:
        in_another_task(start, folders)
        rounds_and_end(folders, 1, 2, 3)

    stop_everywhere(lambda folders: None, task, meanwhile, tmp_path, monkeypatch)


def test_an_aggregation_that_sleeps_anywhere_changes_nothing_later(tmp_path, monkeypatch):
    def prepare(folders: RunFolders) -> None:
        in_another_task(start, folders)
        in_another_task(aggregate, folders, 1)

    def task(folders: RunFolders) -> None:
        aggregate(folders, 2, lambda: read_state(folders)[0].round < 2, value=7.0)

    stop_everywhere(prepare, task, lambda folders: rounds_and_end(folders, 2, 3), tmp_path, monkeypatch)


def test_a_resume_that_sleeps_anywhere_changes_nothing_later(tmp_path, monkeypatch):
    def prepare(folders: RunFolders) -> None:
        in_another_task(start, folders)
        in_another_task(aggregate, folders, 1)

    def task(folders: RunFolders) -> None:
        resume(folders, lambda: read_state(folders)[0].round < 2)

    def meanwhile(folders: RunFolders) -> None:
        in_another_task(resume, folders)
        rounds_and_end(folders, 2, 3)

    stop_everywhere(prepare, task, meanwhile, tmp_path, monkeypatch)


def test_of_two_tasks_at_the_same_time_one_gets_the_run(tmp_path, monkeypatch):
    """The second one comes at any moment of the first one's take-over."""
    for step in range(1, 100):
        folders = RunFolders(tmp_path / str(step) / "metrics" / "r", tmp_path / str(step) / "models" / "r")
        owners: list[str] = []

        def second(folders: RunFolders = folders, owners: list[str] = owners) -> None:
            def own() -> None:
                fence.take_over(folders, wanted)
                owners.append("second")
                PLACES.get()[folders.models].joinpath("mine").touch()

            with contextlib.suppress(TakenOver):
                in_another_task(own)

        with stopped_at(step, second, monkeypatch), contextlib.suppress(TakenOver):
            fence.take_over(folders, wanted)
            with contextlib.suppress(TakenOver):
                write_whole(folders.models / "first", b"")
                owners.append("first")
        assert owners, step
        for folder in (folders.models, folders.metrics):
            assert len(list(folder.glob(".epoch-*"))) == 1, step
        if owners == ["first"] and step > 20:
            return
    raise AssertionError("the take-over never ended")


def test_a_task_that_is_not_wanted_after_its_take_over_does_not_go_on(folders):
    with pytest.raises(TakenOver, match="run r was taken over"):
        fence.take_over(folders, lambda: False)
    assert PLACES.get() == {}
    assert list(folders.models.iterdir()) == list(folders.metrics.iterdir()) == []


def test_each_take_over_raises_the_epoch(folders):
    epochs = []
    in_another_task(start, folders)
    for number in (1, 2):
        epochs.append(read_state(folders)[0].epoch)
        in_another_task(aggregate, folders, number)
    in_another_task(finish, folders)
    assert [*epochs, read_state(folders)[0].epoch] == [1, 2, 3]
    in_another_task(resume, folders)
    assert read_state(folders)[0].epoch == 4  # the place of the finish is gone


def test_a_finished_run_keeps_no_place(folders):
    in_another_task(start, folders)
    assert len(list(folders.models.glob(".epoch-000000001-*"))) == 1
    rounds_and_end(folders, 1)
    assert not [*folders.metrics.glob(".*"), *folders.models.glob(".*")]


def test_a_run_is_replaced_only_if_the_order_says_so(folders):
    in_another_task(start, folders)
    in_another_task(start, folders)  # a second attempt of the same start
    in_another_task(aggregate, folders, 1)
    before = content(folders)
    with pytest.raises(RecordError, match="a run of this name has finished round 1; choose another name"):
        in_another_task(start, folders)
    assert content(folders) == before
    in_another_task(lambda: start(folders, overwrite=True))
    assert read_state(folders)[0].round == 0
    assert not (folders.metrics / "rounds.csv").exists()


def test_folders_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "models").write_text("in the way")
    with pytest.raises(RecordError, match="models"):
        fence.take_over(RunFolders(tmp_path / "metrics" / "r", tmp_path / "models" / "r"), wanted)
