"""A Redis that answers but refuses to write in the middle of a run."""

from collections.abc import Iterator

import pytest

from tests.integration.conftest import Cluster
from tests.integration.test_faults import SLOW, finish


@pytest.fixture
def not_full_at_the_end(cluster: Cluster) -> Iterator[None]:
    """Give Redis its memory back, whatever the test finds."""
    cluster.have_workers(3)
    yield
    cluster.client.config_set("maxmemory", 0)


@pytest.mark.usefixtures("not_full_at_the_end")
def test_a_redis_that_is_full_ends_the_run_and_a_resume_gives_the_same_bits(cluster: Cluster) -> None:
    done = cluster.train("--run", "unrefused", *SLOW)
    assert done.returncode == 0, done.stderr
    training = cluster.start_training("--run", "refused", *SLOW, "--worker-timeout-s", "3")
    cluster.wait_for_task("train:2")
    cluster.client.config_set("maxmemory", 1)
    status, printed = finish(training)
    assert status == 3, printed
    error, advice = printed.strip().splitlines()[-2:]
    assert "its memory is full (maxmemory)" in error
    assert "--resume refused" in advice
    assert "Traceback" not in printed
    cluster.client.config_set("maxmemory", 0)
    cluster.have_workers(3)  # the others have ended, too
    resumed = cluster.train("--resume", "refused")
    assert resumed.returncode == 0, resumed.stderr
    assert cluster.weights("refused") == cluster.weights("unrefused")
