"""Versions of this process: those that must be the same in every process of a run, and those on record."""

import contextlib
import functools
import hashlib
import platform
import socket
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import redis

ROOT = Path(__file__).resolve().parents[2]
"""The repository."""

PACKAGES = {
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "keras": ("keras",),
    "numpy": ("numpy",),
    "albumentations": ("albumentations",),
    "opencv": ("opencv-python-headless", "opencv-python"),
    "scikit-learn": ("scikit-learn",),
}
"""Packages that can change a number, with the names under which they may be installed."""
CODE = ("celery_app.py", "tasks", "helpers", "preprocessing")


@functools.cache
def versions_here() -> dict[str, str]:
    """Return the versions that must agree: `code` (a digest of the source at the first call) and packages."""
    return {"code": _code_digest(), **{name: _version(*PACKAGES[name]) for name in PACKAGES}}


def origin_here() -> str:
    """Return the host and folder of this checkout, `host:/folder`."""
    return f"{socket.gethostname()}:{ROOT}"


def explain_difference(expected: dict[str, str], here: dict[str, str]) -> str:
    """Return a sentence on what differs; empty if nothing does."""
    names = sorted(expected.keys() | here.keys())
    parts = [
        f"{name} {here.get(name, 'unknown')} instead of {expected.get(name, 'unknown')}"
        for name in names
        if expected.get(name) != here.get(name)
    ]
    return ", ".join(parts)


def environment_here(client: redis.Redis) -> dict[str, str]:
    """Return what may differ from worker to worker: Python, system, Celery, and the Redis behind `client`."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "celery": version("celery"),
        "redis-py": version("redis"),
        "redis server": _server_version(client),
    }


def _server_version(client: redis.Redis) -> str:
    """Return the server's name and version by HELLO, as a hardened server forbids INFO.

    It is `unknown` before Redis 6, which has no HELLO.
    """
    try:
        answer = client.execute_command("HELLO")  # type: ignore[no-untyped-call]
    except redis.ResponseError:
        return "unknown"
    facts = answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))
    return f"{facts[b'server'].decode()} {facts[b'version'].decode()}"


def _version(*names: str) -> str:
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            return version(name)
    return "absent"


def _code_digest() -> str:
    digest = hashlib.sha256()
    for part in CODE:
        path = ROOT / part
        files = [path] if path.is_file() else sorted(path.rglob("*.py"), key=Path.as_posix)
        for file in files:
            digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0")
            digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
