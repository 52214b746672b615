"""What Redis refuses, in one true line."""

import pytest
import redis

from helpers.cluster.errors import RedisRefuses, RedisUnreachable
from helpers.cluster.refusals import is_away, is_passing, translated, translating
from helpers.settings.errors import ConfigError

ERRORS = [
    (redis.ReadOnlyError("You can't write against a read only replica."), "replica", True),
    (redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "memory is full", True),
    (redis.ResponseError("MISCONF Redis is configured to save RDB snapshots, but"), "disk full", True),
    (redis.BusyLoadingError("Redis is loading the dataset in memory"), "loading", True),
    (redis.ResponseError("CROSSSLOT Keys in request don't hash to the same slot"), "Cluster", False),
    (redis.exceptions.MovedError("1234 127.0.0.1:7000"), "Cluster", False),
    (redis.ResponseError("WRONGTYPE Operation against a key"), "another program", False),
    (redis.ResponseError("EXECABORT\nsomething"), "EXECABORT something", False),
]


@pytest.mark.parametrize(("error", "text", "passes"), ERRORS)
def test_each_refusal_has_its_line(error: redis.RedisError, text: str, passes: bool) -> None:
    refusal = translated(error, "host:1")
    assert isinstance(refusal, RedisRefuses)
    assert text in str(refusal)
    assert "host:1" in str(refusal)
    assert "\n" not in str(refusal)
    assert is_passing(error) is passes


def test_a_database_that_is_not_there_is_a_wrong_setting() -> None:
    assert isinstance(translated(redis.ResponseError("DB index is out of range"), "host:1"), ConfigError)


def test_a_silent_redis_is_unreachable() -> None:
    with pytest.raises(RedisUnreachable, match="host:1 does not answer"), translating("host:1"):
        raise redis.ConnectionError("reset")
    assert is_away(redis.TimeoutError())
    assert not is_away(redis.AuthenticationError())
