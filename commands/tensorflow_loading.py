"""Import of TensorFlow without its start-up messages.

TF_CPP_MIN_LOG_LEVEL does not suppress them: most are printed before TensorFlow reads it.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

REMARKS = (
    rb"[IW]\d{4} |WARNING: All log messages before absl::InitializeLog"
    rb"|E\d{4} .*failed call to cuInit: .*\(303\)"  # without an NVIDIA driver
)
FILTER = f"""
import re, sys
for line in sys.stdin.buffer:
    if not re.match({REMARKS!r}, line):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
"""


def load_tensorflow() -> None:
    """Import TensorFlow and let it look for GPUs; show its errors and suppress its other messages.

    A status line on standard output says what the command waits for. Standard error is being filtered.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with Console().status("loading TensorFlow"), without_remarks():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextmanager
def without_remarks() -> Iterator[None]:
    """Filter standard error through a separate process, which outlives a crash of this one."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with subprocess.Popen(
        [sys.executable, "-ISc", FILTER], stdin=subprocess.PIPE, stdout=terminal
    ) as passing:
        assert passing.stdin is not None
        os.dup2(passing.stdin.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
