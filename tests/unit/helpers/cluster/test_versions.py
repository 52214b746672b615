"""Versions that must be the same in every process of a run, and those that are only on record."""

import platform
from importlib.metadata import version

import pytest
import redis

from helpers.cluster.versions import environment_here, explain_difference, versions_here

ANSWER = {b"server": b"redis", b"version": b"7.4.1", b"proto": 3, b"modules": []}


def test_this_process_names_its_code_and_packages() -> None:
    here = versions_here()
    assert {"code", "tensorflow", "keras", "numpy", "albumentations", "opencv", "scikit-learn"} == set(here)
    assert "absent" not in here.values()
    assert len(here["code"]) == 12


def test_what_differs_is_named() -> None:
    assert explain_difference({"keras": "3.1", "code": "a"}, {"keras": "3.1", "code": "a"}) == ""
    difference = explain_difference({"keras": "3.1", "code": "a"}, {"keras": "3.2", "code": "a", "new": "1"})
    assert difference == "keras 3.2 instead of 3.1, new 1 instead of unknown"


class Server:
    """A server that answers HELLO and nothing else, as it does for a user with few permissions."""

    def __init__(self, answer):
        self._answer = answer

    def execute_command(self, *command):
        assert command == ("HELLO",)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ANSWER, "redis 7.4.1"),  # protocol 3
        ([part for pair in ANSWER.items() for part in pair], "redis 7.4.1"),  # protocol 2
        (redis.ResponseError("unknown command 'HELLO'"), "unknown"),
        (redis.exceptions.NoPermissionError("no permissions"), "unknown"),
    ],
)
def test_environment_names_python_celery_and_the_server(answer, expected):
    assert environment_here(Server(answer)) == {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "celery": version("celery"),
        "redis-py": version("redis"),
        "redis server": expected,
    }


def test_an_unreachable_server_is_an_error():
    with pytest.raises(redis.ConnectionError):
        environment_here(Server(redis.ConnectionError("gone")))
