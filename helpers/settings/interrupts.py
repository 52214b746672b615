"""Errors that come before a command is ready for them: a Ctrl-C during imports, and a missing package."""

import os
import sys
from types import TracebackType

COMMANDS = {"load_and_create_dataset.py": "prepare", "distributed_training_index.py": "train"}
"""Scripts that people start with a Python of their own, and the command of run.py that does the same."""


def end_quietly(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print one line for a Ctrl-C or a missing package and end the process; a `sys.excepthook`."""
    command = COMMANDS.get(os.path.basename(sys.argv[0]))  # noqa: PTH119
    if issubclass(kind, KeyboardInterrupt):
        print("stopped", file=sys.stderr, flush=True)
        os._exit(130)
    is_outside = sys.prefix == sys.base_prefix
    if command and is_outside and isinstance(error, ModuleNotFoundError):
        print(
            f"error: {sys.executable} lacks the package {error.name}; activate the environment "
            f"(`source .venv/bin/activate`), or use `python run.py {command}`",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)
    sys.__excepthook__(kind, error, trace)
