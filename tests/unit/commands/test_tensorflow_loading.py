"""TensorFlow's remarks do not reach the terminal, its errors do; tested without TensorFlow."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SAID = """WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795841599.426411   18323 port.cc:153] oneDNN custom operations are on.
W0000 00:00:1795841599.426411   18323 x.cc:1] a warning
E0000 00:00:1795841602.989677   18323 cuda_platform.cc:52] failed call to cuInit: UNKNOWN ERROR (303)
"""
MEANT = """E0000 00:00:1795841602.989677   18323 cuda_platform.cc:52] failed call to cuInit: no device (100)
F0000 00:00:1795841602.989677   18323 x.cc:1] compiled to use AVX instructions, but these aren't available
"""


def errors_of(last: str) -> str:
    """Return the standard error of a process that prints both, then runs `last`, without remarks."""
    program = f"""
import os, sys
from helpers.cluster.process_tuning import without_remarks
with without_remarks():
    os.write(2, {(SAID + MEANT).encode()!r})
    {last}
print("after I0000 ", file=sys.stderr)
"""
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    ).stderr


def test_errors_get_through_and_remarks_do_not() -> None:
    assert errors_of("pass") == f"{MEANT}after I0000 \n"


def test_the_last_words_of_a_process_that_dies_get_through() -> None:
    assert errors_of("os.abort()").startswith(MEANT)


def test_an_exception_gets_through() -> None:
    errors = errors_of("raise ImportError('no library')")
    assert errors.startswith(MEANT)
    assert "ImportError: no library" in errors
