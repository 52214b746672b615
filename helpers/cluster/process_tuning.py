"""What makes a training process faster, and has to be set before TensorFlow is loaded."""

import ctypes
import os
import sys

M_TRIM_THRESHOLD = -1
M_TOP_PAD = -2
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
KEPT = {M_ARENA_MAX: 1, M_TOP_PAD: 64 << 20, M_TRIM_THRESHOLD: 256 << 20, M_MMAP_THRESHOLD: 1 << 30}
"""Options of glibc's mallopt(3) and their values, bytes."""


def tune_process() -> None:
    """Keep freed memory, and let TensorFlow use oneDNN on every processor: by default only on some.

    A variable TF_ENABLE_ONEDNN_OPTS that is set already stays.
    """
    keep_freed_memory()
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for the next training step; return whether it could be told.

    TensorFlow frees the activations of every step. By default glibc gives them back to the kernel and
    gets them again, zeroed page by page: in a worker about a fifth of the processor's time. All threads use
    the main heap, as the others give back what is above 64 MiB. Elsewhere nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library, such as musl
        return False
    return all(mallopt(option, value) for option, value in KEPT.items())
