"""Where a run takes place, for its record. Unlike versions, it may differ from worker to worker."""

import platform
from importlib.metadata import version

import redis


def environment_here(client: redis.Redis) -> dict[str, str]:
    """Python, system, Celery, and the Redis behind `client` with the library that speaks to it."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "celery": version("celery"),
        "redis-py": version("redis"),
        "redis server": _server_version(client),
    }


def _server_version(client: redis.Redis) -> str:
    """By HELLO, as a careful server forbids INFO; `unknown` before Redis 6, which has no HELLO."""
    try:
        answer = client.execute_command("HELLO")  # type: ignore[no-untyped-call]
    except redis.ResponseError:
        return "unknown"
    facts = answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))
    return f"{facts[b'server'].decode()} {facts[b'version'].decode()}"
