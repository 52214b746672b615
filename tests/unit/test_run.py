"""run.py before the environment exists: standard library only, quick help, and when it installs."""

import ast
import importlib.metadata
import os
import shutil
import subprocess
import sys
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


def children_seconds() -> float:
    """Processor time of ended child processes, which another load does not change."""
    times = os.times()
    return times.children_user + times.children_system


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_every_command_is_listed_at_once(words):
    used = children_seconds()
    done = subprocess.run([sys.executable, str(ROOT / "run.py"), *words], capture_output=True, text=True)
    assert children_seconds() - used < 1
    assert done.returncode == 0
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert listed[: len(run.COMMANDS)] == list(run.COMMANDS)
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_every_command_has_its_module():
    for name in set(run.COMMANDS) - {"setup", "test"}:
        tree = ast.parse((ROOT / "commands" / f"{name}.py").read_text())
        assert "main" in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["up", "--worker", "2"], "--worker"),
        (["predict", "best.keras"], "required: IMAGE"),
        (["compare", "a", "a"], "at least two different runs"),
        (["predict", "best.keras", "a.png", "--outt", "x"], "--outt"),
        (["export", "best.keras", "--format", "onnyx"], "invalid choice: 'onnyx'"),
        (["models", "--epochs", "3"], "--epochs"),
    ],
)
def test_wrong_options_are_refused_with_status_2(words, message, capsys):
    with pytest.raises(SystemExit) as caught:
        run.call(words[0], words[1:])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", ["--epoch", "--worker", "--rnu", "--metric-dir", "--data-dri", "--ou", "--o"]
)
@pytest.mark.parametrize("name", sorted(run.COMMANDS.keys() - {"setup", "test"}))
def test_no_option_is_abbreviated_and_a_mistyped_one_is_one_line(name, option, capsys):
    needed = {"predict": ["best.keras", "a.png"], "export": ["best.keras"], "compare": ["a", "b"]}
    needed["evaluate"] = ["first", "images"]
    needed["provision"] = ["--out", "x", "--renew"]
    with pytest.raises(SystemExit) as caught:
        run.call(name, [*needed.get(name, []), option, "3"])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {option}: there is no such option; ")


@pytest.mark.parametrize("name", ["up", "train"])
def test_a_number_of_workers_is_positive(name, capsys):
    assert run.call(name, ["--workers", "0"]) == 2
    assert capsys.readouterr().err == "error: --workers: received 0; at least 1\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "error: trian: no such command; did you mean train? `python run.py` lists all\n"),
        (["dance"], "error: dance: no such command; `python run.py` lists all\n"),
        (
            ["setup", "--quick"],
            "error: setup: --quick: no such packages; there are "
            "demo, dev, export, gpu, mlflow, pretrained, privacy, tune\n",
        ),
    ],
)
def test_a_wrong_command_is_refused_in_one_line(words, message, capsys):
    assert run.main(words) == 2
    assert capsys.readouterr().err == message


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
    monkeypatch.setattr(run, "has_packages", lambda files: False)  # whatever this interpreter has
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


def test_setup_adds_packages_by_name_where_commands_run(project, monkeypatch):
    assert run.main(["setup", "tune", "privacy"]) == 0
    pip = project.commands[-1]
    assert pip[:4] == [str(run.venv_python()), "-m", "pip", "install"]
    files = [Path(word).name for word in pip if word.endswith((".txt", ".lock"))]
    assert files == ["requirements-tune.txt", "requirements-privacy.txt", "requirements.lock"]
    assert run.is_installed("demo")
    monkeypatch.setattr(run, "has_packages", lambda files: True)  # as in a user's own environment
    assert run.main(["setup", "tune"]) == 0
    assert project.commands[-1][0] == sys.executable


@pytest.mark.parametrize("name", ["requirements.txt", "requirements.lock"])
def test_setup_installs_again_when_a_requirement_changes(project, name):
    run.main(["setup"])
    with (project.folder / name).open("a") as file:
        file.write("# changed\n")
    run.main(["setup"])
    assert project.commands[-1][1:4] == ["-m", "pip", "install"]
    assert len(project.commands) == 3  # the environment itself was kept


def test_an_environment_of_another_python_is_replaced(project):
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


@pytest.mark.parametrize("name", ["setup", "train", "predict"])
def test_help_installs_nothing(project, capsys, name):
    assert run.main([name, "--help"]) == 0
    assert run.COMMANDS[name] in capsys.readouterr().out
    assert project.commands == []


@pytest.mark.parametrize("name", ["setup", "runs"])
def test_an_environment_that_has_the_packages_is_used_as_it_is(project, monkeypatch, capsys, name):
    monkeypatch.setattr(run, "has_packages", lambda files: True)
    monkeypatch.setattr(run, "call", lambda name, options: 7)
    assert run.main([name]) == (0 if name == "setup" else 7)
    assert project.commands == []
    assert not run.VENV.exists()


@pytest.mark.parametrize("name", ["runs", "show", "compare"])
def test_a_light_command_needs_few_packages_and_installs_none(project, monkeypatch, capsys, name):
    monkeypatch.setattr(run, "call", lambda name, options: 7)
    monkeypatch.setattr(run, "differing_packages", lambda file: iter(["tensorflow absent, not 2.21.0"]))
    assert run.main([name]) == 7
    monkeypatch.setattr(run, "differing_packages", lambda file: iter(["pandas 2.0, not 3.1.1"]))
    assert run.main([name]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "error: this Python lacks a package (pandas 2.0, not 3.1.1): `python run.py setup`"
    )
    assert project.commands == []
    assert not run.VENV.exists()


def test_light_packages_are_pinned():
    pins = {line.partition("==")[0] for line in (ROOT / "requirements.txt").read_text().splitlines()}
    assert set(run.LIGHT_PACKAGES) <= pins


def test_the_container_has_what_worker_and_orchestrator_import():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert "recipes" in kept
    seen, to_read = set(), ["distributed_training_index.py", "celery_app.py", "run.py"]
    while to_read:
        name = to_read.pop()
        seen.add(name)
        files = [ROOT / name] if name.endswith(".py") else sorted((ROOT / name).rglob("*.py"))
        for node in (node for file in files for node in ast.walk(ast.parse(file.read_text()))):
            tops = {imported.partition(".")[0] for imported in names_imported(node)}
            own = {each for top in tops for each in (top, f"{top}.py") if top and (ROOT / each).exists()}
            to_read += sorted(own - seen - set(to_read))
    assert seen <= kept


def test_packages_that_differ_from_the_pins_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "ROOT", tmp_path)
    version = importlib.metadata.version("pytest")
    pins = f"# pins\n-r other.txt\npytest[x]=={version}\nabsent==1; sys_platform == 'none'\n"
    (tmp_path / "a.txt").write_text(pins)
    (tmp_path / "b.txt").write_text("no-such-package==2\n")
    assert run.has_packages(["a.txt"])
    assert not run.has_packages(["a.txt", "b.txt"])
    assert list(run.differing_packages(tmp_path / "b.txt")) == ["no-such-package absent, not 2"]


def test_options_of_test_go_to_pytest(project, monkeypatch):
    monkeypatch.setattr(run, "has_packages", lambda files: True)
    assert run.main(["test", "-k", "codec", "-x"]) == 0
    assert project.commands == [[sys.executable, "-m", "pytest", "-k", "codec", "-x"]]


@pytest.mark.parametrize("failing", [0, 1])
def test_test_alone_runs_all_layers_and_fails_if_one_does(project, monkeypatch, failing):
    monkeypatch.setattr(run, "has_packages", lambda files: True)
    commands = []

    def pretend(command, **_):
        commands.append(command[3:])
        return SimpleNamespace(returncode=int(len(commands) == failing + 1))

    monkeypatch.setattr(run.subprocess, "run", pretend)
    assert run.main(["test"]) == 1
    without_cluster, others = commands
    assert without_cluster[:2] == ["-n", "2"]
    layers = {path.name for path in (ROOT / "tests").iterdir() if any(path.rglob("test_*.py"))}
    assert {Path(name).name for name in [*without_cluster[2:], *others]} == layers


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("demo", ["--data-dir", "--data-at", "--test-fraction"]),
        ("repeat", ["--resume", "--compare", "--overwrite"]),
        ("prepare", []),
    ],
)
def test_help_names_the_command_and_no_option_that_it_refuses(name, refused, capsys):
    with pytest.raises(SystemExit) as caught:
        run.call(name, ["--help"])
    assert caught.value.code == 0
    usage, *lines = capsys.readouterr().out.splitlines()
    assert usage.startswith(f"usage: python run.py {name} ")
    assert not {line.split()[0] for line in lines if line.startswith("  --")} & set(refused)


def test_help_of_the_tests_installs_nothing(monkeypatch, capsys):
    monkeypatch.setattr(run, "runs_here", lambda purpose: purpose == "demo")
    monkeypatch.setattr(run, "is_installed", lambda purpose: purpose == "demo")
    monkeypatch.setattr(run, "install", lambda purpose: pytest.fail("it installs"))
    assert run.main(["test", "--help"]) == 0
    assert "`python run.py setup dev` installs what it needs" in capsys.readouterr().out
