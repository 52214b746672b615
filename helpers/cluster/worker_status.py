"""The status of a worker, as its heartbeat shows it. It is checked, as anyone may have written it."""

from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

MOST_BYTES = 1 << 20
"""Largest status."""
LARGE = 1 << 53
Whole = Annotated[int, Field(gt=-LARGE, lt=LARGE)]
Number = Annotated[float, Field(gt=-LARGE, lt=LARGE)]

CHECKED = ConfigDict(strict=True, extra="allow")


@with_config(CHECKED)
class TaskStatus(TypedDict):
    """What a worker does: the order it works on, and how far a training has come."""

    job: str
    attempt: Whole
    run: NotRequired[str]
    batch: NotRequired[Whole]
    batches: NotRequired[Whole]
    seconds: NotRequired[Number]


@with_config(CHECKED)
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
    pid: Whole
    host: str
    ready: bool
    queues: list[str]
    task: TaskStatus | None
    threads: NotRequired[Whole]
    weight_store: NotRequired[str]
    gpu: NotRequired[str]
    site: NotRequired[dict[str, Any] | None]
    bits: NotRequired[dict[str, str] | None]
    folders: NotRequired[dict[str, str] | None]


Workers = dict[str, WorkerStatus]
"""Status of the live workers by node name."""

_STATUS = TypeAdapter(WorkerStatus)


class UnreadableStatus(ValueError):
    """A status that no worker of this project wrote; the text is the reason."""


def decode_status(value: bytes | str) -> WorkerStatus:
    """Return the status that a heartbeat holds; UnreadableStatus says what is wrong with it."""
    if len(value) > MOST_BYTES:
        raise UnreadableStatus(f"it has {len(value)} bytes")
    try:
        return _STATUS.validate_json(value)
    except ValidationError as error:
        problem = error.errors()[0]
        place = f"{problem['loc'][0]}: " if problem["loc"] else ""
        raise UnreadableStatus(f"{place}{problem['msg']}") from None
