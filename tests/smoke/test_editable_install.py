"""`pip install -e .`: the console command and the library, in an environment that has the packages."""

import os
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("commands", "helpers", "preprocessing", "tasks")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of the programs of an environment with a copy of the project, and with our packages."""
    folder = tmp_path_factory.mktemp("install")
    source = folder / "source"
    source.mkdir()
    for file in (
        *ROOT.glob("*.py"),
        *ROOT.glob("requirements*"),
        ROOT / "pyproject.toml",
        ROOT / "README.md",
    ):
        shutil.copy(file, source)
    for part in PARTS:
        shutil.copytree(ROOT / part, source / part)
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    packages = subprocess.run(
        [programs / "python", "-c", "import site; print(site.getsitepackages()[0])"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    (Path(packages) / "ours.pth").write_text("\n".join(site.getsitepackages()))
    pip = [programs / "python", "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run([*pip, "--no-build-isolation", "-e", str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return programs


def run(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(installed / words[0]), *words[1:]], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_the_console_command_uses_this_environment(installed, tmp_path):
    assert "train" in run(installed, tmp_path, "breast-training").stdout
    done = run(installed, tmp_path, "breast-training", "runs")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"no run in {tmp_path / 'metrics'} yet" in done.stdout
    assert str(installed.parent) in run(installed, tmp_path, "breast-training", "setup").stdout
    assert not list(installed.parent.parent.glob("source/.venv"))


def test_the_library_can_be_imported_anywhere(installed, tmp_path):
    program = "import distributed_training_index as d, importlib.metadata as m\n"
    program += "print(m.version('distributed-breast-training'), d.train.__name__, d.__file__)"
    done = run(installed, tmp_path, "python", "-c", program)
    version, name, file = done.stdout.split()
    assert (version, name) == ("0.2.0", "train")
    assert file == str(installed.parent.parent / "source" / "distributed_training_index.py")


def test_every_pinned_package_is_a_dependency(installed, tmp_path):
    program = "import importlib.metadata as m; print(*m.requires('distributed-breast-training'), sep='\\n')"
    required = run(installed, tmp_path, "python", "-c", program).stdout
    pins = [line.partition(";")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    assert all(pin in required for pin in pins if "==" in pin)
