"""A Ctrl-C during imports, and scripts that start outside the environment."""

import subprocess
import sys

import pytest

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


@pytest.mark.parametrize(
    ("script", "command"),
    [("preprocessing/load_and_create_dataset.py", "prepare"), ("distributed_training_index.py", "train")],
)
def test_a_python_without_the_packages_is_one_line(script: str, command: str) -> None:
    bare = [sys._base_executable, "-E", "-S", str(ROOT / script)]  # type: ignore[attr-defined]
    process = subprocess.run(bare, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 1
    assert process.stderr.startswith("error: ")
    assert process.stderr.endswith(f"or use `python run.py {command}`\n")
    assert process.stderr.count("\n") == 1
