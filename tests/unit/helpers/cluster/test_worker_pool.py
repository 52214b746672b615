"""The pools that a worker may have."""

from typing import Any

import pytest
from celery.concurrency import get_implementation

from helpers.cluster.worker_pool import check_pool, check_silent
from helpers.settings.errors import ConfigError


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pool_cls": "solo", "concurrency": 4},
        {"pool_cls": get_implementation("solo")},
        {"pool_cls": get_implementation("threads"), "concurrency": 1},
    ],
)
def test_one_task_at_a_time_is_allowed(options: dict[str, Any]) -> None:
    check_pool(options)


@pytest.mark.parametrize(
    "options",
    [
        {"pool_cls": get_implementation("threads"), "concurrency": 2},
        {"pool_cls": get_implementation("threads"), "concurrency": 0},
        {"pool_cls": get_implementation("threads"), "concurrency": 1, "autoscale": "3,1"},
        {"pool_cls": "threads"},
        {"pool_cls": "gevent", "concurrency": 1},
        {"pool_cls": "eventlet", "concurrency": 9},
        {"pool_cls": "processes", "concurrency": 1},
        {"pool_cls": get_implementation("processes"), "concurrency": 1},
        {"pool_cls": "somewhere.else:Pool"},
    ],
)
def test_several_tasks_at_once_and_forks_are_refused_in_one_line(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^--pool=.*use --pool=solo") as caught:
        check_pool(options)
    assert "\n" not in str(caught.value)


def test_a_worker_of_a_deployment_sends_nothing_unsigned() -> None:
    check_silent(dict.fromkeys(("without_gossip", "without_mingle", "without_heartbeat"), True))
    with pytest.raises(ConfigError, match="add --without-gossip --without-heartbeat"):
        check_silent({"without_mingle": True, "without_gossip": False})
