"""TensorFlow, loaded without its remarks.

TF_CPP_MIN_LOG_LEVEL does not keep them away: most are written before TensorFlow has read it.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

REMARKS = (
    rb"[IW]\d{4} |WARNING: All log messages before absl::InitializeLog"
    rb"|E\d{4} .*failed call to cuInit: .*\(303\)"  # by what stands in for a driver that is not there
)
FILTER = f"""
import re, sys
for line in sys.stdin.buffer:
    if not re.match({REMARKS!r}, line):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
"""


def load_tensorflow() -> None:
    """Import TensorFlow and let it look for GPUs; errors are shown, remarks are not.

    A terminal says meanwhile what is waited for: standard output does, as standard error passes line by line.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with Console().status("loading TensorFlow"), without_remarks():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextmanager
def without_remarks() -> Iterator[None]:
    """While this lasts, a process of its own lets through what is no remark of TensorFlow's.

    So the last words of a process that dies get through too.
    """
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
