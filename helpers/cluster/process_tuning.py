"""Process settings that must be made before TensorFlow is loaded, what they decide, and quiet loading."""

import contextlib
import ctypes
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

M_TRIM_THRESHOLD = -1
M_TOP_PAD = -2
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
KEPT = {M_ARENA_MAX: 1, M_TOP_PAD: 64 << 20, M_TRIM_THRESHOLD: 256 << 20, M_MMAP_THRESHOLD: 1 << 30}
"""Options of glibc's mallopt(3) and their values, bytes."""
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
ENVIRONMENT = {ONEDNN: "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
"""oneDNN on every processor (by default only on some), and no remarks once TensorFlow is loaded."""
MAX_INSTRUCTIONS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Variables that keep oneDNN from using all instructions of the processor."""
INSTRUCTIONS = ("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd", "sve")
"""Flags of processors for which TensorFlow has kernels of their own."""
REMARKS = (
    rb"[IW]\d{4} |WARNING: All log messages before absl::InitializeLog"
    rb"|E\d{4} .*failed call to cuInit: .*\(303\)"  # from the stub that stands in for a missing driver
)
_FILTER = f"""
import re, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
for line in sys.stdin.buffer:
    if not re.match({REMARKS!r}, line):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
"""


def tune_process() -> None:
    """Keep freed memory and set ENVIRONMENT; variables that are set already stay."""
    keep_freed_memory()
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def what_decides_bits(threads: int, processor: Path = Path("/proc/cpuinfo")) -> dict[str, str]:
    """Return what the last digits of this worker's numbers depend on, besides code and packages.

    Args:
        threads: the setting THREADS.
        processor: Linux' description of the processor; elsewhere, its instructions are not known.
    """
    flags: list[str] = []
    with contextlib.suppress(OSError):
        lines = processor.read_text().splitlines()
        flags = next((line for line in lines if line.startswith(("flags", "Features"))), "").split()
    limits = [os.environ[name] for name in MAX_INSTRUCTIONS if name in os.environ]
    known = [name for name in INSTRUCTIONS if name in flags]
    return {
        "threads": str(threads or os.cpu_count()),
        "oneDNN": os.environ.get(ONEDNN, ENVIRONMENT[ONEDNN]),
        "instructions": " ".join([platform.machine(), *known, *(f"up to {limit}" for limit in limits)]),
    }


def keep_freed_memory() -> bool:
    """Make glibc keep freed memory for the next training step; return whether it accepted that.

    TensorFlow frees the activations of every step. By default glibc returns them to the kernel and
    gets them back zeroed, page by page, which costs a worker about a fifth of its processor time. All
    threads use the main heap, as the other heaps return what is above 64 MiB. Only glibc has this option.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library, such as musl
        return False
    return all(mallopt(option, value) for option, value in KEPT.items())


@contextlib.contextmanager
def without_remarks() -> Iterator[None]:
    """Drop TensorFlow's remarks from standard error; errors pass.

    TF_CPP_MIN_LOG_LEVEL alone does not: TensorFlow writes most remarks before it has read it. The
    filter is another process, so that the last words of a process that dies get through as well.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with subprocess.Popen(
        [sys.executable, "-ISc", _FILTER], stdin=subprocess.PIPE, stdout=terminal
    ) as passing:
        assert passing.stdin is not None
        os.dup2(passing.stdin.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
