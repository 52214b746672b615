"""Options of the command `celery worker` that are refused.

Pools: TensorFlow hangs after a fork, and a Keras model trains one client at a time.
"""

from collections.abc import Mapping
from typing import Any

from celery import concurrency

from helpers.settings.errors import ConfigError


def check_pool(options: Mapping[str, Any]) -> None:
    """Refuse a pool that runs two tasks at once, or tasks in forked processes.

    Celery itself replaces `--pool=prefork`, its default, by the pool of the settings, which is solo.

    Args:
        options: of the command `celery worker`.

    Raises:
        ConfigError: naming the pool and what to use.
    """
    pool = options.get("pool_cls") or options.get("pool") or "solo"
    name = pool if isinstance(pool, str) else pool.__module__
    name = (concurrency.ALIASES.get(name) or name).partition(":")[0].rpartition(".")[2]
    is_single = options.get("concurrency") in (1, "1") and not options.get("autoscale")
    if name == "solo" or (name == "thread" and is_single):
        return
    shown = {"prefork": "processes", "thread": "threads"}.get(name, name)
    what = "tasks in forked processes" if name == "prefork" else "several tasks at once in one process"
    raise ConfigError(
        f"--pool={shown} runs {what}, and a Keras model trains one client at a time; use --pool=solo, and "
        "start more workers for more clients at a time"
    )


def check_silent(options: Mapping[str, Any]) -> None:
    """Refuse a worker that would exchange unsigned messages with the others.

    Args:
        options: of the command `celery worker`.

    Raises:
        ConfigError: naming the options that are missing.
    """
    names = ("without_gossip", "without_mingle", "without_heartbeat")
    if missing := ["--" + name.replace("_", "-") for name in names if not options.get(name)]:
        raise ConfigError(f"with DEPLOYMENT a worker sends signed messages only; add {' '.join(missing)}")
