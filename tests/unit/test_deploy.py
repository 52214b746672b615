"""Files of deploy/ and the containers: what can be checked without systemd, Slurm and Docker at work."""

import fnmatch
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers.launcher.worker_processes import worker_command

ROOT = Path(__file__).resolve().parents[2]
UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
COMPOSE = (ROOT / "docker-compose.yml", ROOT / "deploy/worker-compose.yml")
HOME = "/opt/breast-training"


def services(file: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(file.read_text())["services"])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_units(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    started = tmp_path / unit.name.replace("@", "@1")
    text = unit.read_text().replace(HOME, str(tmp_path)).replace("User=trainer", "User=root")
    started.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", started], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_sbatch_script_is_bash() -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    subprocess.run(["bash", "-n", ROOT / "deploy/slurm/train.sbatch"], check=True)


def test_workers_start_as_the_launcher_starts_them() -> None:
    _, *expected = worker_command("worker")
    flags = [word for word in expected if word.startswith("--without") or word == "--pool=solo"]
    texts = [UNITS[1].read_text(), (ROOT / "deploy/slurm/train.sbatch").read_text()]
    texts += [services(file)["worker"]["command"] for file in COMPOSE]
    assert "worker@" in UNITS[1].name
    assert [[flag for flag in flags if flag not in text] for text in texts] == [[]] * 4


def test_the_image_has_what_the_containers_start() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [line.removeprefix("!") for line in lines if line.startswith("!")]
    needed = re.findall(r"^COPY (requirements.*) \./$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[
        0
    ].split()
    needed += ["run.py", "celery_app.py", "distributed_training_index.py"]
    assert [name for name in needed if not any(fnmatch.fnmatch(name, line) for line in kept)] == []
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"benchmarks", "studies", "tests"}
    assert packages <= set(kept)


def test_redis_and_workers_have_health_checks() -> None:
    parts = services(COMPOSE[0])
    assert all("healthcheck" in parts[name] for name in ("redis", "worker"))
    assert "ports" not in parts["redis"]
    assert parts["watch"]["ports"] == ["127.0.0.1:8765:8765"]
    assert "healthcheck" in services(COMPOSE[1])["worker"]
