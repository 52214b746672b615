"""`run.py train`: prepare images, start what is missing, train, and stop what was started."""

import argparse
import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from commands.prepared_folder import PLAIN
from commands.run_request import RunRequest
from commands.training_options import add_options
from helpers.cluster.errors import ClusterError
from helpers.cluster.versions import ROOT
from helpers.global_config import Config
from helpers.launcher.child_processes import unwind_when_terminated
from helpers.launcher.local_cluster import local_cluster
from helpers.run_records.run import Run
from helpers.settings.command_line import ArgumentParser
from helpers.settings.errors import UserError
from preprocessing.command_line import add_image_options, source_options

SCRIPT = str(ROOT / "distributed_training_index.py")
COMMAND = "python run.py train"
DEFAULT_WORKERS = 3
USAGE = "python run.py train [--data-dir DIR] [--workers N] [--run NAME | --resume NAME] [option …]"
HELP = """\
Prepares the images, starts Redis and workers unless they run, trains, prints the results and stops what it
started. Nearly every setting is an option.
"""
DETAILS = """\
images:
  They are prepared in PREPROCESSED_DIR/<name of their folder>-<size>-<digest of path and settings>, and again
  only if files or settings have changed. Without --data-dir, images that `run.py prepare` has put into
  PREPROCESSED_DIR are used.

workers and clients:
  --workers N starts N workers and trains N clients, unless num_workers, NUM_CLIENTS, PARTITION=site or a
  resumed run gives the number of clients. Workers that run on this machine already (`python run.py up`) are
  used instead if there are at least N of them, or any at all without --workers. The output of started workers
  is in logs/<run>, next to METRICS_DIR.

examples:
  python run.py train --data-dir my_images --workers 3
  python run.py train --data-dir my_images --run first --epochs 20 --input-shape 224,224
  python run.py train --source dicom --data-dir mammograms --crop-breast
  python run.py train --resume first
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    unwind_when_terminated()
    parser = make_parser(arguments)
    add_options(parser)
    parser.parse_args(arguments)  # shows the help or refuses unknown options
    options, training_arguments = make_parser(arguments).parse_known_args(arguments)
    if options.workers is not None and options.workers < 1:
        raise UserError(f"--workers: received {options.workers}; at least 1")
    request = RunRequest.of([*training_arguments, "--resume-with", COMMAND], options.workers)
    request = request.with_images(named_images(options), f"{COMMAND} {shlex.join(arguments)}")
    return run_training(request, options.workers)


def make_parser(arguments: Sequence[str]) -> ArgumentParser:
    """Return the parser of the options that `distributed_training_index.py` does not have."""
    parser = ArgumentParser(
        prog="run.py train", usage=USAGE, description=HELP, epilog=DETAILS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_own_options(parser, arguments)
    return parser


def add_own_options(parser: ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the number of workers, and the options about images."""
    parser.add_argument("--workers", type=int, metavar="N", help=f"number of workers [{DEFAULT_WORKERS}]")
    add_image_options(parser.add_argument_group("images, as `python run.py prepare`"), arguments)


def named_images(options: argparse.Namespace) -> argparse.Namespace | None:
    """Return the options about images; None if none is given."""
    images = argparse.Namespace(**{name: getattr(options, name) for name in PLAIN if name in options})
    images.source_options = source_options(options)
    return None if vars(images) == PLAIN else images


def run_training(
    request: RunRequest,
    num_workers: int | None,
    logs: Path | None = None,
    name: str = "worker",
    on_line: Callable[[str], None] | None = None,
    watch: Callable[[], object] | None = None,
) -> int:
    """Run the training command with a cluster of this machine; return its exit status.

    Args:
        request: the run.
        num_workers: number of workers; None means those that are running, else at most one per client.
        logs: folder for the output of the workers that are started.
        name: these workers are called by it and a number.
        on_line: receives each line that the command prints, in place of the terminal.
        watch: called several times a second; what it raises stops the training.

    Raises:
        ClusterError: Redis or the workers did not start, or all have ended.
    """
    config = request.config
    if request.is_done():
        (on_line or _say)(f"Run {request.run} is finished; nothing to do")
        if on_line is None:
            from commands.show import show
            from helpers.reporting.run_files import read_run

            show(read_run(config.METRICS_DIR, config.MODELS_DIR, request.run), config)
        return 0
    logs = logs or config.METRICS_DIR.parent / "logs" / request.run
    default = min(DEFAULT_WORKERS, config.cohort_size or DEFAULT_WORKERS)
    with local_cluster(config, num_workers, logs, default=default, name=name, say=on_line or _say) as cluster:
        return cluster.run([SCRIPT, *request.arguments], on_line, watch)


def _say(line: str) -> None:
    print(line, flush=True)


def train_here(
    run: str | None = None,
    *,
    resume: str | None = None,
    overwrite: bool = False,
    force: bool = False,
    take_over: bool = False,
    compare: bool = False,
    tensorboard: bool = False,
    workers: int | None = None,
    say: Callable[[str], None] = print,
    **settings: Any,
) -> Run:
    """Train and return the finished run. Redis and workers are started unless they run, and stopped.

    Args:
        run: name of a new run; None means date and time.
        resume: name of a run to go on with, in place of `run`.
        overwrite, force, take_over, compare, tensorboard: as the options of the training command.
        workers: number of workers, and of clients unless a setting gives it.
        say: receives each line of output.
        **settings: settings by name, such as EPOCHS=5 or DATA_DIR="my_images".

    Raises:
        UserError: a setting, a name or the images are wrong.
        ClusterError: the cluster could not finish.
    """
    if run and resume:
        raise UserError("run and resume are both given: name one of them")
    if "NAMESPACE" in settings:
        raise UserError("NAMESPACE: set DT_NAMESPACE in the environment, before Python starts")
    checked = Config.load(**settings)
    names = {"--run": run, "--resume": resume}
    flags = {"overwrite": overwrite, "force": force, "take-over": take_over, "compare": compare}
    flags["tensorboard"] = tensorboard
    arguments = [word for option, value in names.items() if value for word in (option, value)]
    arguments += ["--resume-with", COMMAND]
    arguments += [f"--{flag}" for flag, is_set in flags.items() if is_set]
    not_options: dict[str, Any] = {
        name: getattr(checked, name) for name in ("REDIS_URL", "WEIGHT_STORE") if name in settings
    }
    for name in settings.keys() - not_options.keys():
        arguments += [f"--{name.lower().replace('_', '-')}={_as_text(settings[name])}"]
    request = RunRequest.of(arguments, workers)
    request = replace(request, config=request.config.model_copy(update=not_options)).with_images()
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        say(line)

    status = run_training(request, workers, on_line=on_line)
    _raise_for(status, lines)
    return Run.open(request.config, request.run)


def _as_text(value: Any) -> str:
    """Return a setting as on a command line."""
    is_list = isinstance(value, list | tuple)
    has_commas = is_list and any("," in str(item) for item in value)
    return json.dumps(value) if has_commas else ",".join(map(str, value)) if is_list else str(value)


def _raise_for(status: int, lines: Sequence[str]) -> None:
    """Raise the error that the training command has printed last."""
    if status == 130:
        raise KeyboardInterrupt
    if status:
        starts = [number for number, line in enumerate(lines) if line.startswith("error: ")]
        message = "\n".join(lines[starts[-1] :] if starts else lines[-10:]).removeprefix("error: ")
        raise (UserError if status == 2 else ClusterError)(message)
