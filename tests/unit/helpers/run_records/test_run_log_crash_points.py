"""A process that is killed, or stopped and woken later, after any of its writes costs no bit of a run."""

import itertools
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from helpers.run_records import fence
from helpers.run_records.files import RunFolders
from helpers.run_records.run_log import begin_run, resume_run
from tests.unit.helpers.run_records.test_run_log import (
    SCHEMA,
    commit,
    content,
    order,
    save_momentum,
    save_states,
    weights_of,
)

ROUNDS = 3
MOST_WRITES = 70


def run_to_the_end(folders: RunFolders) -> None:
    """Begin or resume a run and commit its rounds, with states and a partition that changes in round 2.

    Each step takes the run over first, as tasks do, and is wanted unless a file says that it is late.
    """

    def take_over() -> None:
        fence.take_over(folders, lambda: os.getpid() != int(late.read_text()) if late.exists() else True)

    late = folders.models.parent / "late"
    take_over()
    if folders.state.exists():
        done = resume_run(folders, order(0), SCHEMA)[0].round
    else:
        begin_run(folders, order(0), SCHEMA, weights_of(0))
        done = 0
    for number in range(done + 1, ROUNDS + 1):
        take_over()
        partition = [{"round": number, "file": "a.png", "client": number, "label": 1}]
        commit(
            folders, number, 0.6, save_states(folders, number, 0, 1), save_momentum(folders, number),
            partition=partition if number < ROUNDS else (),
        )  # fmt: skip
    fence.release()


def run_and_signal(writes: int, folders: RunFolders, signal_number: int) -> None:
    """Run, and send this process a signal after this many renames and deletions."""
    count = itertools.count(1)

    def counted(function):
        def call(*arguments, **options):
            result = function(*arguments, **options)
            if next(count) == writes:
                os.kill(os.getpid(), signal_number)
            return result

        return call

    for name in ("replace", "rename", "unlink"):
        setattr(Path, name, counted(getattr(Path, name)))
    run_to_the_end(folders)


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="needs SIGKILL, SIGSTOP and waitid")
@pytest.mark.parametrize("blow", ["SIGKILL", "SIGSTOP"])
def test_a_process_that_is_killed_or_stopped_after_any_write_costs_no_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, blow: str
) -> None:
    """Every write with --long; by default a few, drawn each day. A stopped process wakes after the end."""
    monkeypatch.setattr(os, "fsync", lambda file: None)  # the kernel keeps what a killed process wrote
    calm = RunFolders(tmp_path / "calm" / "metrics", tmp_path / "calm" / "models")
    run_to_the_end(calm)
    points, seed = list(range(1, MOST_WRITES)), int(time.strftime("%Y%m%d"))
    print(f"seed {seed}")
    if not request.config.getoption("--long"):
        points = sorted(random.Random(seed).sample(points[:30], 2))
    disturbed = 0
    for point in points:
        folders = RunFolders(tmp_path / f"{point}" / "metrics", tmp_path / f"{point}" / "models")
        arguments = (point, folders, getattr(signal, blow))
        process = multiprocessing.get_context("spawn").Process(target=run_and_signal, args=arguments)
        process.start()
        assert process.pid
        ended = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert ended
        if ended.si_code == os.CLD_EXITED:  # fewer writes than that
            break
        disturbed += 1
        (folders.models.parent / "late").write_text(str(process.pid))
        run_to_the_end(folders)
        if blow == "SIGSTOP":
            os.kill(process.pid, signal.SIGCONT)
        process.join(60)
        # A stopped process ends with an error, unless it had made its last change.
        assert process.exitcode in ((-signal.SIGKILL,) if blow == "SIGKILL" else (0, 1)), point
        assert content(folders) == content(calm), point
    print(f"{disturbed} processes were disturbed")
    assert disturbed >= min(len(points), 30)
