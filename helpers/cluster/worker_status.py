"""The status of a worker, as its heartbeat shows it. It is checked, as anyone may have written it."""

import json
from typing import Any, NotRequired, TypedDict

MOST_BYTES = 1 << 20
"""Largest status."""


class TaskStatus(TypedDict):
    """What a worker does: the order it works on, and how far a training has come."""

    job: str
    attempt: int
    run: NotRequired[str]
    batch: NotRequired[int]
    batches: NotRequired[int]
    seconds: NotRequired[float]


class WorkerStatus(TypedDict):
    """Status of a worker.

    Attributes:
        token: of the process; a restarted worker has another.
        pid, host: where it runs.
        ready: whether it takes tasks.
        queues: those it serves.
        task: what it does; None while idle.
        threads, weight_store, gpu: settings of its machine.
        site: name and counts of a site; None without one.
        bits: what decides the last digits of its numbers.
        folders: its checkout, and where it reads prepared images and writes results.
    """

    token: str
    pid: int
    host: str
    ready: bool
    queues: list[str]
    task: TaskStatus | None
    threads: NotRequired[int]
    weight_store: NotRequired[str]
    gpu: NotRequired[str]
    site: NotRequired[dict[str, Any] | None]
    bits: NotRequired[dict[str, str] | None]
    folders: NotRequired[dict[str, str] | None]


Workers = dict[str, WorkerStatus]
"""Status of the live workers by node name."""

_NEEDED: dict[str, tuple[type, ...]] = {
    "token": (str,),
    "pid": (int,),
    "host": (str,),
    "ready": (bool,),
    "queues": (list,),
    "task": (dict, type(None)),
}
_OPTIONAL: dict[str, tuple[type, ...]] = {
    "threads": (int,),
    "weight_store": (str,),
    "gpu": (str,),
    "site": (dict, type(None)),
    "bits": (dict, type(None)),
    "folders": (dict, type(None)),
}
_TASK: dict[str, tuple[type, ...]] = {"job": (str,), "attempt": (int,)}
_PROGRESS: dict[str, tuple[type, ...]] = {
    "run": (str,),
    "batch": (int,),
    "batches": (int,),
    "seconds": (int, float),
}


class UnreadableStatus(ValueError):
    """A status that no worker of this project wrote; the text is the reason."""


def decode_status(value: bytes | str) -> WorkerStatus:
    """Return the status that a heartbeat holds; UnreadableStatus says what is wrong with it."""
    if len(value) > MOST_BYTES:
        raise UnreadableStatus(f"it has {len(value)} bytes")
    try:
        status = json.loads(value.decode() if isinstance(value, bytes) else value)
    except (ValueError, RecursionError):
        raise UnreadableStatus("it is not JSON") from None
    if not isinstance(status, dict):
        raise UnreadableStatus("it is not a table")
    _check(status, _NEEDED)
    _check(status, _OPTIONAL, are_needed=False)
    if not all(isinstance(queue, str) for queue in status["queues"]):
        raise UnreadableStatus("a queue is not text")
    texts = [*(status.get("folders") or {}).values(), *(status.get("bits") or {}).values()]
    if not all(isinstance(text, str) for text in texts):
        raise UnreadableStatus("a folder, or what decides bits, is not text")
    if status["task"] is not None:
        _check(status["task"], _TASK)
        _check(status["task"], _PROGRESS, are_needed=False)
    decoded: WorkerStatus = status  # type: ignore[assignment]
    return decoded


def _check(values: dict[str, Any], types: dict[str, tuple[type, ...]], *, are_needed: bool = True) -> None:
    for name, allowed in types.items():
        if name not in values and not are_needed:
            continue
        value = values.get(name)
        if (
            name not in values
            or not isinstance(value, allowed)
            or (type(value) is bool and bool not in allowed)
        ):
            raise UnreadableStatus(f"{name} is missing or has another type")
        if isinstance(value, (int, float)) and not abs(value) < 1 << 53:
            raise UnreadableStatus(f"{name} is out of range")
