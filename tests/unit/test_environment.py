"""What a run's record says of the place where it was trained."""

import platform
from importlib.metadata import version

import pytest
import redis

from helpers.cluster.environment import environment_here

ANSWER = {b"server": b"redis", b"version": b"7.4.1", b"proto": 3, b"modules": []}


class Server:
    """Answers HELLO, and nothing else, as the server of a user without power does."""

    def __init__(self, answer):
        self._answer = answer

    def execute_command(self, *command):
        assert command == ("HELLO",)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (ANSWER, "redis 7.4.1"),  # protocol 3
        ([part for pair in ANSWER.items() for part in pair], "redis 7.4.1"),  # protocol 2
        (redis.ResponseError("unknown command 'HELLO'"), "unknown"),
        (redis.exceptions.NoPermissionError("no permissions"), "unknown"),
    ],
)
def test_says_what_runs_here_and_which_server_answers(answer, says):
    assert environment_here(Server(answer)) == {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "celery": version("celery"),
        "redis-py": version("redis"),
        "redis server": says,
    }


def test_a_server_that_is_gone_is_no_unknown_version():
    with pytest.raises(redis.ConnectionError):
        environment_here(Server(redis.ConnectionError("gone")))
