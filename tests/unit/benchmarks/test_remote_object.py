"""An object in its own process."""

import sys

import pytest

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@linux_only
def test_a_contender_that_raises_hands_its_traceback_over():
    from benchmarks.remote_object import ContenderFailed, RemoteObject

    with (
        RemoteObject("pathlib.Path", "/absent") as process,
        pytest.raises(ContenderFailed, match="FileNotFoundError"),
    ):
        process.ask("stat")
