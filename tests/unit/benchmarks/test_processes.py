"""Processor time and memory of processes."""

import os
import sys
import time

import pytest

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@linux_only
def test_processor_time_and_memory_of_a_process_and_its_children():
    from benchmarks.processes import cpu_seconds, family, peak_bytes, shared_out_bytes
    from benchmarks.remote_object import RemoteObject

    with RemoteObject("collections.Counter", "a" * 20_000_000) as process:
        assert process.ask("get", "a") == 20_000_000
        assert process.pid in family([os.getpid()])
        assert 0.1 < cpu_seconds([process.pid]) < 60
        assert 5e6 < shared_out_bytes([process.pid]) <= peak_bytes(process.pid)
        assert peak_bytes(process.pid) > 20_000_000  # the text itself
        used = cpu_seconds([process.pid])
        time.sleep(0.3)
        assert cpu_seconds([process.pid]) <= used + 0.02  # waiting costs nothing; two ticks of its answer
