"""run.py before the environment exists: standard library only, quick help, and when it installs."""

import ast
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import run

ROOT = Path(__file__).resolve().parents[2]


def test_needs_only_the_standard_library_until_the_environment_exists():
    tree = ast.parse((ROOT / "run.py").read_text())
    at_import = {name for node in tree.body for name in names_imported(node)}
    later = {name for node in ast.walk(tree) for name in names_imported(node)} - at_import
    assert {name.partition(".")[0] for name in at_import} <= sys.stdlib_module_names
    assert {name.partition(".")[0] for name in later} <= {"helpers", "commands"}


def names_imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    return {node.module or ""} if isinstance(node, ast.ImportFrom) else set()


def test_help_teaches_at_once():
    started = time.monotonic()
    done = subprocess.run([sys.executable, str(ROOT / "run.py"), "--help"], capture_output=True, text=True)
    assert time.monotonic() - started < 2
    assert done.returncode == 0
    commands = (
        "setup",
        "demo",
        "test",
        "up --workers 3",
        "doctor",
        "predict models",
        "export models",
        "runs",
        "compare RUN",
        "models",
    )
    for command in commands:
        assert f"python run.py {command}" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["up", "--workers", "0"], "--workers: received 0"),
        (["up", "--worker", "2"], "unknown option: --worker 2"),
        (["predict", "best.keras"], "required: IMAGE"),
        (["compare", "a", "a"], "at least two different runs"),
        (["predict", "best.keras", "a.png", "--outt", "x"], "unknown option: --outt x"),
        (["export", "best.keras", "--format", "onnyx"], "invalid choice: 'onnyx'"),
        (["models", "--epochs", "3"], "unknown option: --epochs 3"),
        (["dance"], "invalid choice"),
        ([], "required"),
    ],
)
def test_a_wrong_command_line_is_refused_with_status_2(words, said, capsys):
    with pytest.raises(SystemExit) as caught:
        run.parse(words)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("version", [(3, 10, 4), (3, 14, 0)])
def test_another_python_is_refused_with_one_line(version, monkeypatch, capsys):
    text = ".".join(map(str, version))
    monkeypatch.setattr(run, "sys", SimpleNamespace(version_info=version, version=text, stderr=sys.stderr))
    assert run.main(["setup"]) == 2
    assert capsys.readouterr().err == f"error: Python 3.11, 3.12 or 3.13 is needed; this is {text}\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project with the real requirement files, and the commands that would have been run."""
    for file in ROOT.glob("requirements*"):
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "VENV", tmp_path / ".venv")
    commands = []

    def pretend(command, **_):
        commands.append([str(word) for word in command])
        if "venv" in command:
            run.venv_python().parent.mkdir(parents=True, exist_ok=True)
            run.venv_python().touch()
            settings = "version = {}.{}.{}".format(*sys.version_info)
            (run.VENV / "pyvenv.cfg").write_text(settings)
        if "pip" in command and project.fails:
            raise subprocess.CalledProcessError(1, command)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(run.subprocess, "run", pretend)
    project = SimpleNamespace(folder=tmp_path, commands=commands, fails=False)
    return project


def test_setup_installs_the_pinned_packages_once(project, capsys):
    assert run.main(["setup"]) == 0
    venv, pip = project.commands
    assert venv[1:3] == ["-m", "venv"]
    assert pip[0] == str(run.venv_python())
    files = [Path(word).name for word in pip if word.endswith((".txt", ".lock"))]
    assert files == ["requirements.txt", "requirements-demo.txt", "requirements.lock"]
    assert run.main(["setup"]) == 0
    assert len(project.commands) == 2
    assert "is ready" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["requirements.txt", "requirements.lock"])
def test_setup_installs_again_when_a_requirement_changes(project, name):
    run.main(["setup"])
    with (project.folder / name).open("a") as file:
        file.write("# changed\n")
    run.main(["setup"])
    assert project.commands[-1][1:4] == ["-m", "pip", "install"]
    assert len(project.commands) == 3  # the environment itself was kept


def test_an_environment_of_another_python_is_made_anew(project):
    run.main(["setup"])
    (run.VENV / "pyvenv.cfg").write_text("version = 3.9.1")
    run.stamp("demo").unlink()
    run.main(["setup"])
    assert "--clear" in project.commands[2]


def test_a_failed_installation_leaves_no_stamp(project, capsys):
    run.main(["setup"])
    (project.folder / "requirements.txt").write_text("celery==0\n")
    project.fails = True
    assert run.main(["setup"]) == 1
    assert "the installation failed (status 1)" in capsys.readouterr().err
    assert not run.stamp("demo").exists()
    project.fails = False
    assert run.main(["setup"]) == 0
    assert run.is_installed("demo")


def test_the_packages_of_the_tests_contain_those_of_the_demo(project):
    run.install("dev")
    assert run.is_installed("dev")
    assert run.is_installed("demo")
    run.stamp("dev").unlink()
    run.install("demo")
    assert not run.is_installed("dev")


def test_doctor_installs_nothing(project, capsys):
    assert run.main(["doctor"]) == 1
    assert "run `python run.py setup`" in capsys.readouterr().out
    assert project.commands == []


def test_further_options_of_test_go_to_pytest(project, monkeypatch):
    monkeypatch.setattr(run, "inside_venv", lambda: True)
    monkeypatch.setattr(run, "is_installed", lambda purpose: purpose == "dev")
    assert run.main(["test", "-k", "codec", "-x"]) == 0
    assert project.commands == [[sys.executable, "-m", "pytest", "-k", "codec", "-x"]]
