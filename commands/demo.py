"""`run.py demo`: a training on real mammograms with drawn masses, to see that everything works."""

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from commands.run_request import RunRequest
from commands.train import run_training
from commands.training_options import parse
from helpers.launcher.child_processes import unwind_when_terminated
from helpers.run_records.files import RunFolders
from preprocessing import load_and_create_dataset

FOLDER = Path("demo")
SIZE = ["--input-shape", "48,48"]
NUM_WORKERS = 3
SETTINGS = [
    *SIZE, "--epochs", "6", "--train-batch-size", "4", "--num-workers", str(NUM_WORKERS),
    "--train-step", "fast", "--batch-norm-momentum", "0.9",
]  # fmt: skip
"""Moving statistics of ten steps are not behind in so few steps, so that accuracy rises with AUC."""
KEPT = "demo-before"
"""Name of the last finished demo, while a new one trains."""


def main(arguments: Sequence[str]) -> int:
    """Prepare the demo images and train on them; return the exit status.

    Args:
        arguments: options of the training command. They win over those of the demo.
    """
    unwind_when_terminated()
    parse([*SETTINGS, *arguments])  # a mistyped option is refused before images are made
    prepared = FOLDER / "preprocessed"
    prepare = ["--source", "demo", "--data-dir", str(FOLDER / "images"), "--out", str(prepared), *SIZE]
    if status := load_and_create_dataset.main(prepare):
        return status
    is_resumed = any(word.partition("=")[0] == "--resume" for word in arguments)
    name = [] if is_resumed else ["--run", "demo", "--overwrite"]
    again = ["--resume-with", shlex.join(["python", "run.py", "demo", *_without_name(arguments)])]
    request = RunRequest.of([*SETTINGS, *name, *arguments, *again]).with_prepared(prepared)
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
