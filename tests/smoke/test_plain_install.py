"""The plain way, without run.py: a fresh environment and the requirement files, at the locked versions."""

import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    venv.create(folder, with_pip=True)
    return folder / ("Scripts/pip.exe" if sys.platform == "win32" else "bin/pip")


def pinned(name: str) -> dict[str, str]:
    """The versions in a requirement file, by normalized package name."""
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / name).read_text(), re.MULTILINE)
    return {package.lower().replace("_", "-"): version for package, version in found}


def resolve(pip: Path, *options: str) -> set[tuple[str, str]]:
    """What pip would install, as name and version; skips where there is no package index."""
    command = [str(pip), "install", "--dry-run", "--no-input", "--disable-pip-version-check", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0 and re.search(r"NewConnectionError|Name or service|Max retries", done.stderr):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr[-3000:]
    line = re.search(r"^Would install (.*)$", done.stdout, re.MULTILINE)
    assert line, done.stdout[-3000:]
    pairs = (word.rpartition("-") for word in line[1].split())
    return {(name.lower().replace("_", "-"), version) for name, _, version in pairs}


@pytest.mark.long
def test_the_direct_requirements_install_alone(pip):
    found = dict(resolve(pip, "-r", "requirements.txt"))
    assert pinned("requirements.txt").items() <= found.items()


@pytest.mark.long
def test_the_lock_names_everything_that_is_installed(pip):
    found = resolve(pip, "-r", "requirements-dev.txt", "-c", "requirements.lock")
    assert found <= set(pinned("requirements.lock").items())


def test_the_lock_agrees_with_the_direct_requirements():
    lock = pinned("requirements.lock").items()
    for name in (
        "requirements.txt",
        "requirements-demo.txt",
        "requirements-export.txt",
        "requirements-pretrained.txt",
        "requirements-privacy.txt",
        "requirements-tune.txt",
        "requirements-mlflow.txt",
        "requirements-dev.txt",
    ):
        assert pinned(name).items() <= lock
