"""The commands of run.py. Each has its own module with `main(arguments)`, which returns the exit status."""

import os
import sys

from helpers.settings.interrupts import end_quietly

# Only in processes that run a command: the program of a user who imports this package keeps its own hook.
if os.path.basename(sys.argv[0]) in ("run.py", "distributed_training_index.py", "breast-training"):  # noqa: PTH119
    sys.excepthook = end_quietly
