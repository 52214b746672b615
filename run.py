"""The one command line of the project. `python run.py` lists its commands.

This file needs Python 3.11 to 3.13 and nothing else: it makes the environment that the commands run in.
"""

from __future__ import annotations  # so that an older Python gets as far as the line that refuses it

import os
import sys

if __name__ == "__main__":  # a Ctrl-C during the imports that follow ends in one line as well

    def _end_quietly(kind, error, trace) -> None:  # type: ignore[no-untyped-def]
        if not issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        print("stopped", file=sys.stderr, flush=True)
        os._exit(130)

    sys.excepthook = _end_quietly

import difflib
import hashlib
import importlib
import importlib.metadata
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

COMMANDS = {
    "demo": "train on real mammograms with three workers, a first look",
    "test": "run the tests; options go to pytest",
    "setup": "make .venv with the packages; `setup NAME` adds optional ones",
    "doctor": "check this machine: each line is ok or says what to do",
    "up": "run Redis and workers in the foreground; Ctrl-C stops all",
    "prepare": "resize, check and split images",
    "train": "prepare, start what is missing, train, stop what was started",
    "repeat": "train over seeds, folds or left-out sites: mean and interval",
    "tune": "search for better settings, judged by validation over folds",
    "predict": "predict images with a trained model; research only, no diagnosis",
    "evaluate": "test a trained model on other labeled images, also by groups",
    "export": "write a model as SavedModel or ONNX, checked against Keras",
    "runs": "list all runs, best first",
    "show": "show one run: origin, images, settings, rounds, test",
    "compare": "compare runs: metrics in the terminal, curves in a page",
    "watch": "follow a run live in the browser, from any machine",
    "stop": "end a run after its round, from any terminal or machine",
    "provision": "keys, certificates and Redis users for sites",
    "approve": "at a site: show what a run asks for, and approve it",
    "leave": "at a site: end its workers; its runs go on without it at once",
    "audit": "at a site: list the orders received, and what became of them",
    "models": "list the networks: size, cost of a round, speed on this machine",
}
"""The commands, each with one line. All but `setup` and `test` are in commands/NAME.py."""
EXAMPLES = """\
examples:
  python run.py demo
  python run.py train --data-dir my_images --workers 3
  python run.py predict models/demo/best.keras image.png folder/

python run.py COMMAND --help shows the options of a command."""

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
SUPPORTED = ((3, 11), (3, 12), (3, 13))
REQUIREMENTS = {"demo": ("requirements.txt", "requirements-demo.txt"), "dev": ("requirements-dev.txt",)}
"""What .venv gets. Both sets suffice for every command but `test`, which needs dev."""
LOCK = "requirements.lock"
LIGHT = ("runs", "show", "compare")
"""Commands that only read files: they need LIGHT_PACKAGES and never install anything."""
LIGHT_PACKAGES = ("jinja2", "matplotlib", "numpy", "pandas", "pydantic-settings", "rich", "scikit-learn")


def listing() -> str:
    """Return every command with its line."""
    lines = [f"  {name:<9} {line}" for name, line in COMMANDS.items()]
    return "\n".join(["usage: python run.py COMMAND [options]", "", *lines, "", EXAMPLES])


def venv_python() -> Path:
    """Return the path of the environment's interpreter."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def inside_venv() -> bool:
    """Return whether this process runs in the environment."""
    return Path(sys.prefix).resolve() == VENV.resolve()


def fingerprint() -> str:
    """Return a digest of everything that decides what is installed."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {VENV}".encode())
    for file in sorted([*ROOT.glob("requirements*.txt"), ROOT / LOCK]):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def stamp(purpose: str) -> Path:
    """Return the file with the fingerprint that the packages of `purpose` were installed with."""
    return VENV / f"installed-{purpose}.txt"


def is_installed(purpose: str) -> bool:
    """Return whether .venv has the packages of `purpose` (demo or dev) as the requirement files say."""
    file = stamp(purpose)
    return venv_python().exists() and file.is_file() and file.read_text() == fingerprint()


def differing_packages(file: Path) -> Iterator[str]:
    """Yield every pinned package of a requirement file that this interpreter lacks in that version."""
    for line in file.read_text().splitlines():
        requirement, _, marker = line.partition(";")
        name, _, wanted = requirement.strip().partition("==")
        if not wanted or ("sys_platform" in marker and sys.platform not in marker):
            continue
        try:
            installed = importlib.metadata.version(name.partition("[")[0])
        except importlib.metadata.PackageNotFoundError:
            installed = "absent"
        if installed != wanted:
            yield f"{name} {installed}, not {wanted}"


def has_packages(files: Sequence[str]) -> bool:
    """Return whether this interpreter has the pinned packages of some requirement files."""
    return not any(next(differing_packages(ROOT / file), "") for file in files)


def make_venv() -> None:
    """Make the environment, unless it exists for this version of Python."""
    settings = VENV / "pyvenv.cfg"
    version = "version = {}.{}.".format(*sys.version_info)
    if venv_python().exists() and settings.is_file() and version in settings.read_text():
        return
    print(f"Making the environment {VENV} …", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)


def install(purpose: str) -> None:
    """Install the packages of `purpose` in .venv. Only a complete installation leaves its stamp.

    Raises:
        subprocess.CalledProcessError: venv or pip failed and printed why.
    """
    if not inside_venv():
        make_venv()
    stamp(purpose).unlink(missing_ok=True)
    print("Installing the pinned packages (TensorFlow alone is 600 MB; some minutes) …", flush=True)
    add_packages(venv_python(), [ROOT / name for name in REQUIREMENTS[purpose]])
    for done in ("demo", purpose):  # dev contains demo
        stamp(done).write_text(fingerprint())


def add_packages(python: Path, files: Sequence[Path]) -> None:
    """Install the packages of requirement files for an interpreter, at the pinned versions."""
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    of_files = [part for file in files for part in ("-r", str(file))]
    subprocess.run([*pip, *of_files, "-c", str(ROOT / LOCK)], check=True)


def runs_here(purpose: str) -> bool:
    """Return whether commands of a purpose run in this interpreter, so that .venv is not needed.

    An environment in which the project was installed is used as it is. Only .venv is completed.
    """
    if inside_venv():
        return has_packages([*REQUIREMENTS["demo"], *REQUIREMENTS[purpose]])
    return has_packages(["requirements.txt"])


def enter_venv(arguments: Sequence[str]) -> None:
    """Start this command again with the environment's Python, unless it already runs there."""
    if inside_venv():
        return
    command = [str(venv_python()), str(Path(__file__).resolve()), *arguments]
    if os.name == "nt":  # there, exec would return to the shell at once
        sys.exit(subprocess.run(command).returncode)
    sys.stdout.flush()
    os.execv(command[0], command)


def call(name: str, arguments: list[str]) -> int:
    """Run one command in this interpreter; return the exit status. An error is one line."""
    if name == "test":
        return run_tests(arguments)
    from helpers.cluster.errors import ClusterError
    from helpers.settings.errors import UserError
    from helpers.settings.outside_text import printable

    try:
        return int(importlib.import_module(f"commands.{name}").main(arguments))
    except ClusterError as error:
        return refuse(printable(error), error.exit_status)
    except UserError as error:
        return refuse(printable(error))
    except Exception as error:
        if line := of_redis(error):
            return refuse(printable(line), 3)
        raise


def of_redis(error: Exception) -> str:
    """Return what an error of Redis means; empty for any other."""
    if "redis" not in sys.modules or not isinstance(error, sys.modules["redis"].RedisError):
        return ""
    from helpers.cluster.connection import redact
    from helpers.cluster.refusals import translated

    return str(translated(error, redact(os.environ.get("REDIS_URL") or "127.0.0.1:6379")))


def run_tests(arguments: list[str]) -> int:
    """Run pytest in the repository; return its exit status.

    Without arguments, tests that need no cluster run in two processes before the others.
    """
    if not has_packages(REQUIREMENTS["dev"]):
        return refuse("the tests need more packages: python run.py setup dev")
    pytest = [sys.executable, "-m", "pytest"]
    if arguments:
        return subprocess.run([*pytest, *arguments], cwd=ROOT).returncode
    alone = subprocess.run([*pytest, "-n", "2", "tests/unit", "tests/model"], cwd=ROOT).returncode
    together = subprocess.run(
        [*pytest, "tests/attacks", "tests/integration", "tests/smoke"], cwd=ROOT
    ).returncode
    return alone or together


def refuse(text: str, status: int = 2) -> int:
    """Print an error line and return the exit status."""
    print(f"error: {text}", file=sys.stderr)
    return status


def optional_packages() -> str:
    """Return the names that `setup` takes."""
    files = ROOT.glob("requirements-*.txt")
    return ", ".join(sorted(file.stem.removeprefix("requirements-") for file in files))


def set_up(names: list[str]) -> int:
    """Install the packages unless they are there, and those of requirements-NAME.txt for each name."""
    files = {name: ROOT / f"requirements-{name}.txt" for name in names}
    if unknown := [name for name, file in files.items() if not file.is_file()]:
        return refuse(f"setup: {ascii(unknown[0])[1:-1]}: no such packages; there are {optional_packages()}")
    place = VENV
    if runs_here("demo") and (names or not VENV.exists()):
        place = Path(sys.prefix)
    elif not is_installed("demo"):
        install("demo")
    if files:
        add_packages(Path(sys.executable) if runs_here("demo") else venv_python(), list(files.values()))
    print(f"The environment {place} is ready.")
    return 0


def lacks_light_packages() -> str:
    """Return the first package that this interpreter lacks for LIGHT; empty if there is none."""
    lines = differing_packages(ROOT / "requirements.txt")
    return next((line for line in lines if line.split()[0] in LIGHT_PACKAGES), "")


def start(name: str, options: list[str]) -> int:
    """Run one command in an interpreter that has its packages; return the exit status."""
    purpose = "dev" if name == "test" else "demo"
    if not runs_here(purpose) and (name not in LIGHT or lacks_light_packages()):
        if not is_installed(purpose):
            if name in LIGHT:
                return refuse(
                    f"this Python lacks a package ({lacks_light_packages()}): "
                    "`python run.py setup` installs all in .venv (2.9 GB)",
                    1,
                )
            if name == "doctor":
                print(f"packages   not installed as {LOCK} says: run `python run.py setup`")
                return 1
            install(purpose)
        enter_venv([name, *options])
    return call(name, options)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(listing())
        return 0
    name, *options = arguments
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        meant = f"did you mean {near[0]}? " if near else ""
        return refuse(f"{ascii(name)[1:-1]}: no such command; {meant}`python run.py` lists all")
    if sys.version_info[:2] not in SUPPORTED:
        return refuse(f"Python 3.11, 3.12 or 3.13 is needed; this is {sys.version.split()[0]}")
    asks_help = "-h" in options or "--help" in options
    purpose = "dev" if name == "test" else "demo"
    if asks_help and (name == "setup" or not (runs_here(purpose) or is_installed(purpose))):
        print(f"python run.py {name}: {COMMANDS[name]}")
        if name == "setup":
            print(f"NAME stands for requirements-NAME.txt: {optional_packages()}")
        else:
            extra = " dev" if name == "test" else ""
            print(f"`python run.py setup{extra}` installs what it needs; then --help shows its options.")
        return 0
    try:
        return set_up(options) if name == "setup" else start(name, options)
    except subprocess.CalledProcessError as error:
        return refuse(f"the installation failed (status {error.returncode}); see above", 1)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    for _stream in (sys.stdout, sys.stderr):  # one of another encoding than UTF-8 ends no command
        _stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.exit(main())
