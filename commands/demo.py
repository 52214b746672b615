"""`run.py demo`: a training on real mammograms with drawn masses, to see that everything works."""

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from commands.run_request import RunRequest
from commands.train import run_training
from commands.training_options import add_options, hide
from helpers.global_config import Config
from helpers.launcher.child_processes import unwind_when_terminated
from helpers.run_records.files import RunFolders
from helpers.settings.command_line import ArgumentParser
from helpers.settings.errors import ConfigError
from preprocessing import load_and_create_dataset

FOLDER = Path("demo")
NUM_WORKERS = 3
SETTINGS = [
    "--input-shape", "48,48", "--epochs", "6", "--train-batch-size", "4", "--num-workers", str(NUM_WORKERS),
    "--train-step", "fast", "--batch-norm-momentum", "0.9",
]  # fmt: skip
"""Moving statistics of ten steps are not behind in so few steps, so that accuracy rises with AUC."""
REFUSED = (
    "DATA_DIR", "PREPROCESSED_DIR", "DATA_AT", "TEST_DIR", "CLASS_NAMES", "TEST_FRACTION",
    "VALIDATION_FRACTION",
)  # fmt: skip
"""Settings about images, which the demo makes itself."""
KEPT = "demo-before"
"""Name of the last finished demo, while a new one trains."""


def main(arguments: Sequence[str]) -> int:
    """Prepare the demo images and train on them; return the exit status.

    Args:
        arguments: options of the training command. They win over those of the demo.
    """
    parser = ArgumentParser(
        prog="run.py demo", usage="python run.py demo [option …]",
        description="Trains six rounds on tiles of real mammograms with drawn masses, with three workers.",
    )  # fmt: skip
    add_options(parser)
    hide(parser, *REFUSED)
    given = vars(parser.parse_args(arguments))  # shows the help or refuses unknown options
    if refused := [name for name in REFUSED if name in given]:
        raise ConfigError(f"--{refused[0].lower().replace('_', '-')}: the demo makes its own images")
    unwind_when_terminated()
    prepared = FOLDER / "preprocessed"
    is_resumed = any(word.partition("=")[0] == "--resume" for word in arguments)
    name = [] if is_resumed else ["--run", "demo", "--overwrite"]
    again = ["--resume-with", shlex.join(["python", "run.py", "demo", *_without_name(arguments)])]
    # A mistyped option is refused before images are made.
    request = RunRequest.of([*SETTINGS, *name, *arguments, *again]).with_prepared(prepared)
    if status := load_and_create_dataset.main([*_prepare_options(request.config), "--out", str(prepared)]):
        return status
    folders = RunFolders.of(request.config, request.run)
    kept = RunFolders.of(request.config, KEPT)
    if not is_resumed and _is_finished(folders):
        _move(folders, kept)
    ended: int | None = None
    try:
        ended = run_training(request, NUM_WORKERS, FOLDER / "logs", name="demo")
    finally:
        if ended == 0:
            _delete(kept)
        elif _is_finished(kept) and not folders.state.exists():  # nothing of the new one to continue
            _move(kept, folders)
        elif _is_finished(kept):
            print(f"the last finished demo is kept in {kept.metrics} and {kept.models}", flush=True)
    return ended


def _prepare_options(config: Config) -> list[str]:
    """Return options that prepare the images of the demo as the training needs them."""
    options = ["--source", "demo", "--data-dir", str(FOLDER / "images"), "--seed", str(config.SEED)]
    shape = ",".join(map(str, config.INPUT_SHAPE))
    return [*options, "--input-shape", shape, "--input-dim", str(config.INPUT_DIM)]


def _without_name(arguments: Sequence[str]) -> list[str]:
    """Return the options without those that name the run."""
    words, rest = iter(arguments), []
    for word in words:
        if word in ("--run", "--resume"):
            next(words, None)
        elif word.partition("=")[0] not in ("--run", "--resume", "--overwrite"):
            rest.append(word)
    return rest


def _is_finished(folders: RunFolders) -> bool:
    return (folders.metrics / "test.csv").is_file() and (folders.models / "best.keras").is_file()


def _move(source: RunFolders, target: RunFolders) -> None:
    _delete(target)
    source.metrics.rename(target.metrics)
    source.models.rename(target.models)


def _delete(folders: RunFolders) -> None:
    for folder in (folders.metrics, folders.models):
        shutil.rmtree(folder, ignore_errors=True)
