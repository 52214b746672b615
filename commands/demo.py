"""`run.py demo`: a training on real mammograms with drawn masses, to see that everything works."""

from collections.abc import Sequence
from pathlib import Path

from commands.run_request import RunRequest
from commands.train import run_training
from commands.training_options import parse
from helpers.launcher.child_processes import unwind_when_terminated
from preprocessing import load_and_create_dataset

FOLDER = Path("demo")
SIZE = ["--input-shape", "64,64"]
NUM_WORKERS = 3
SETTINGS = [*SIZE, "--run", "demo", "--overwrite", "--epochs", "8", "--train-batch-size", "4"]
SETTINGS += ["--num-workers", str(NUM_WORKERS)]


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
    request = RunRequest.of([*SETTINGS, *arguments]).with_prepared(prepared)
    return run_training(request, NUM_WORKERS, FOLDER / "logs", name="demo")
