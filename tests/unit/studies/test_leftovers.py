"""What a killed study leaves running is ended, and nothing else is."""

import os
import subprocess
import sys
import time

import pytest

from helpers.settings.errors import UserError
from studies.leftovers import alone_in, end, running_in

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
SLEEP = [sys.executable, "-c", "print(flush=True); import time; time.sleep(60)"]
STUBBORN = [SLEEP[0], "-c", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP[2]]


@pytest.fixture
def start(tmp_path):
    started = []

    def run(command, **options) -> subprocess.Popen:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, **options)
        process.stdout.readline()
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_writers_and_redis_of_this_folder_are_found_and_no_others(tmp_path, start):
    (tmp_path / "one/workers").mkdir(parents=True)

    def writing(name: str) -> dict[str, str]:
        return {**os.environ, "DT_METRICS_DIR": str(tmp_path / name / "metrics")}

    worker, server = [*SLEEP, "celery"], [*SLEEP, "redis-server"]
    writer = start(worker, env=writing("one"))
    redis = start(server, cwd=tmp_path / "one/workers")
    start(worker, env=writing("one-more"))
    start(server, cwd=tmp_path / "one")
    start(SLEEP, env=writing("one"), cwd=tmp_path / "one/workers")  # somebody's shell
    assert running_in(tmp_path / "one") == sorted([writer.pid, redis.pid])


def test_who_does_not_end_when_asked_is_killed(start):
    gentle, stubborn = start(SLEEP), start(STUBBORN)
    end([gentle.pid, stubborn.pid], grace_s=0.5)
    assert (gentle.wait(5), stubborn.wait(5)) == (-15, -9)


def test_nothing_is_waited_for_where_nothing_runs():
    began = time.monotonic()
    end([])
    assert time.monotonic() - began < 1


def test_two_studies_in_one_folder_are_refused(tmp_path):
    with alone_in(tmp_path), pytest.raises(UserError, match="where another study runs"), alone_in(tmp_path):
        pass
    with alone_in(tmp_path):  # free again
        pass
