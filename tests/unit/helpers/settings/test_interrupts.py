"""A Ctrl-C during imports."""

import subprocess
import sys

from helpers.cluster.versions import ROOT

HOOKED = "import sys; from helpers.settings.interrupts import end_quietly; sys.excepthook = end_quietly; "


def ended(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", HOOKED + code], cwd=ROOT, capture_output=True, text=True)


def test_an_interrupt_is_one_line() -> None:
    process = ended("raise KeyboardInterrupt")
    assert (process.returncode, process.stderr) == (130, "stopped\n")


def test_an_error_keeps_its_traceback() -> None:
    process = ended("raise ValueError('x')")
    assert process.returncode == 1
    assert "ValueError: x" in process.stderr
