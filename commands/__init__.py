"""The commands of run.py. Each has its own module with `main(arguments)`, which returns the exit status."""

import os
import sys
from pathlib import Path
from types import TracebackType


def _end_quietly(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print one line for a Ctrl-C that came before the command was ready for it, such as during imports."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    print("stopped", file=sys.stderr, flush=True)
    os._exit(130)


# Only in processes that run a command: the program of a user who imports this package keeps its own hook.
if Path(sys.argv[0]).name in ("run.py", "distributed_training_index.py", "breast-training"):
    sys.excepthook = _end_quietly
