"""Child processes: their output is read to the end, and who starts them is left alone by what he ignores."""

import os
import signal
import subprocess
import sys

import pytest

from helpers.cluster.versions import ROOT
from helpers.launcher.child_processes import run_child
from helpers.launcher.local_cluster import LocalCluster

MANY_LINES = "for number in range(30_000): print(number)"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system closes no terminals")
@pytest.mark.parametrize(("is_ignored", "status"), [(True, 0), (False, 129)])
def test_a_closed_terminal_that_nohup_ignores_is_ignored(is_ignored: bool, status: int) -> None:
    code = "import os, signal; from helpers.launcher import child_processes as c; "
    code += "signal.signal(signal.SIGHUP, signal.SIG_IGN); " if is_ignored else ""
    code += "c.unwind_when_terminated(); os.kill(os.getpid(), signal.SIGHUP)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == status


def test_a_reader_that_raises_blocks_no_process_and_is_heard() -> None:
    lines: list[str] = []

    def read(line: str) -> None:
        lines.append(line)
        raise ValueError(f"of line {line}")

    with pytest.raises(ValueError, match="of line 0"):
        run_child([sys.executable, "-c", MANY_LINES], dict(os.environ), lambda: None, read)
    assert len(lines) == 30_000


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_training_that_is_killed_ends_with_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = LocalCluster("redis://127.0.0.1:1/0", {}, None)
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert cluster.run(["-c", kill], on_line=print) == 3
    assert "was ended by signal 9, as by a machine that is out of memory" in capsys.readouterr().err
