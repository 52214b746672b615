"""Set up and run the project; needs nothing but Python 3.11 to 3.13.

python run.py setup            make the environment .venv and install the pinned packages
python run.py demo             real mammograms, three workers, eight rounds; then a table of metrics
python run.py test             every test; further options go to pytest
python run.py up --workers 3   Redis and workers in the foreground; Ctrl-C stops all
python run.py doctor           what is there, what is missing, what to do
python run.py models           the networks: parameters, MB a round, images a second here
python run.py runs             every run, best first
python run.py compare RUN RUN  metrics beside each other; curves in metrics/compare-….html
python run.py predict models/first/best.keras image.png folder/
                               probability, decision and Grad-CAM picture of images; no diagnosis
python run.py export models/first/best.keras --format savedmodel onnx
                               the model for other programs, checked against Keras
"""

from __future__ import annotations  # so that an older Python gets as far as the line that refuses it

import argparse
import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from helpers.global_config import Config

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
SUPPORTED = ((3, 11), (3, 12), (3, 13))
REQUIREMENTS = {"demo": ("requirements.txt", "requirements-demo.txt"), "dev": ("requirements-dev.txt",)}
LOCK = "requirements.lock"
FORMATS = ("savedmodel", "onnx")
PLACES = ("METRICS_DIR", "MODELS_DIR")
"""Settings that say where the runs lie."""
OF_NETWORKS = ("INPUT_SHAPE", "INPUT_DIM", "TRAIN_BATCH_SIZE", "PRECISION", "XLA", "THREADS")
"""Settings on which size and speed of a network depend."""


def venv_python() -> Path:
    """The interpreter of the environment."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def inside_venv() -> bool:
    """Whether this very process runs in the environment."""
    return Path(sys.prefix).resolve() == VENV.resolve()


def fingerprint() -> str:
    """A digest of everything that decides what is installed."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {VENV}".encode())
    for file in sorted([*ROOT.glob("requirements*.txt"), ROOT / LOCK]):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def stamp(purpose: str) -> Path:
    """The file that says with which fingerprint the packages of `purpose` were installed."""
    return VENV / f"installed-{purpose}.txt"


def is_installed(purpose: str) -> bool:
    """Whether the packages of `purpose` (demo or dev) are there as the requirement files say."""
    file = stamp(purpose)
    return venv_python().exists() and file.is_file() and file.read_text() == fingerprint()


def make_venv() -> None:
    """Make the environment, unless it is there for this version of Python."""
    settings = VENV / "pyvenv.cfg"
    version = "version = {}.{}.".format(*sys.version_info)
    if venv_python().exists() and settings.is_file() and version in settings.read_text():
        return
    print(f"Making the environment {VENV} …", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)


def install(purpose: str) -> None:
    """Install the packages of `purpose`; only a complete installation leaves its stamp.

    Raises:
        subprocess.CalledProcessError: venv or pip failed, having said why.
    """
    if not inside_venv():
        make_venv()
    stamp(purpose).unlink(missing_ok=True)
    files = [part for name in REQUIREMENTS[purpose] for part in ("-r", str(ROOT / name))]
    print("Installing the pinned packages (TensorFlow alone is 600 MB; some minutes) …", flush=True)
    pip = [str(venv_python()), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    subprocess.run([*pip, *files, "-c", str(ROOT / LOCK)], check=True)
    for done in ("demo", purpose):  # dev contains demo
        stamp(done).write_text(fingerprint())


def enter_venv() -> None:
    """Start this command again with the environment's Python, unless it already runs there."""
    if inside_venv():
        return
    command = [str(venv_python()), str(Path(__file__).resolve()), *sys.argv[1:]]
    if os.name == "nt":  # there, exec would return to the shell at once
        sys.exit(subprocess.run(command).returncode)
    sys.stdout.flush()
    os.execv(command[0], command)


def add_settings(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """Add options for some settings, named as those of the training command."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    for name in names:
        option = "--" + name.lower().replace("_", "-")
        parser.add_argument(option, dest=name, metavar="VALUE", help="see docs/configuration.md")


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The command with its options, and those that go to pytest or to the training command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("setup", help="make the environment alone")
    commands.add_parser("demo", help="train on demo images; further options go to the training command")
    commands.add_parser("test", help="run every test; further options go to pytest")
    up = commands.add_parser("up", help="Redis and workers in the foreground", allow_abbrev=False)
    up.add_argument("--workers", type=int, default=3, metavar="N", help="how many workers (default 3)")
    commands.add_parser("doctor", help="check this machine: each line ok, or what to do")
    models = commands.add_parser("models", help="the networks and what each costs", allow_abbrev=False)
    add_settings(models, OF_NETWORKS)
    models.add_argument("--no-timing", action="store_true", help="measure no speed")
    runs = commands.add_parser("runs", help="every run in a table, best first", allow_abbrev=False)
    compare = commands.add_parser("compare", help="several runs beside each other", allow_abbrev=False)
    for command in (runs, compare):
        add_settings(command, PLACES)
    compare.add_argument("runs", nargs="+", metavar="RUN", help="names of runs, at least two")
    predict = commands.add_parser("predict", help="predict images with a trained model", allow_abbrev=False)
    predict.add_argument("model", type=Path, metavar="MODEL", help="such as models/first/best.keras")
    predict.add_argument(
        "images", type=Path, nargs="+", metavar="IMAGE", help="image files, or folders of them"
    )
    predict.add_argument(
        "--out", type=Path, default=Path("predictions"), metavar="DIR",
        help="where to write predictions.csv and the pictures (default predictions/)",
    )  # fmt: skip
    predict.add_argument(
        "--crop-breast", action="store_true",
        help="cut DICOM mammograms down to the breast; where the training images were prepared so",
    )  # fmt: skip
    export = commands.add_parser("export", help="a model in other formats", allow_abbrev=False)
    export.add_argument("model", type=Path, metavar="MODEL", help="such as models/first/best.keras")
    export.add_argument(
        "--format", nargs="+", choices=FORMATS, default=["savedmodel"], help="which (default savedmodel)"
    )
    export.add_argument("--out", type=Path, metavar="DIR", help="where to (default beside the model)")
    known, further = parser.parse_known_args(arguments)
    if further and known.command not in ("demo", "test"):
        parser.error(f"unknown option: {' '.join(further)}")
    if known.command == "compare" and len(set(known.runs)) < 2:
        parser.error("compare: name at least two different runs; `python run.py runs` lists them")
    if known.command == "up" and known.workers < 1:
        parser.error(f"--workers: received {known.workers}; at least 1")
    return known, further


def work(options: argparse.Namespace, further: list[str]) -> int:
    """Do what the command says, inside the environment; return the exit status."""
    if options.command == "test":
        return subprocess.run([sys.executable, "-m", "pytest", *further], cwd=ROOT).returncode
    from helpers.cluster.errors import ClusterError
    from helpers.settings.errors import UserError

    try:
        return dispatch(options, further)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def dispatch(options: argparse.Namespace, further: list[str]) -> int:
    """Call what the command names; each imports only what it needs itself."""
    if options.command in ("predict", "export"):
        from commands.export import export
        from commands.predict import predict

        if options.command == "predict":
            predict(options.model, options.images, options.out, crop=options.crop_breast)
        else:
            export(options.model, options.format, options.out)
        return 0
    if options.command == "models":
        from commands.tensorflow_loading import load_tensorflow
        from helpers.cluster.process_tuning import tune_process

        tune_process()  # as a worker does, before TensorFlow is imported
        load_tensorflow()
        from commands.models import models

        models(settings_given(options, OF_NETWORKS), with_timing=not options.no_timing)
        return 0
    if options.command in ("runs", "compare"):
        from commands.compare import compare
        from commands.runs import runs

        config = settings_given(options, PLACES)
        compare(config, options.runs) if options.command == "compare" else runs(config)
        return 0
    from commands import doctor
    from helpers.launcher import up

    if options.command == "doctor":
        return doctor.report()
    return up.up(options.workers) if options.command == "up" else up.demo(further)


def settings_given(options: argparse.Namespace, names: Sequence[str]) -> Config:
    """The settings, those of `add_settings` that were given winning."""
    from helpers.global_config import Config

    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    return Config.load(options.config, **given)


def main(arguments: list[str]) -> int:
    """Run one command; return the exit status."""
    options, further = parse(arguments)
    if sys.version_info[:2] not in SUPPORTED:
        print(
            f"error: Python 3.11, 3.12 or 3.13 is needed; this is {sys.version.split()[0]}", file=sys.stderr
        )
        return 2
    purpose = "dev" if options.command == "test" else "demo"
    if not is_installed(purpose):
        if options.command == "doctor":
            print(f"packages   not installed as {LOCK} says: run `python run.py setup`")
            return 1
        try:
            install(purpose)
        except subprocess.CalledProcessError as error:
            print(f"error: the installation failed (status {error.returncode}); see above", file=sys.stderr)
            return 1
    if options.command == "setup":
        print(f"The environment {VENV} is ready.")
        return 0
    enter_venv()
    return work(options, further)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
