"""Filter in front of Celery's consumer: a message that Celery would stumble over is dropped with one line.

kombu decodes a message, and inflates a compressed one, before Celery handles errors. There a wrong type ends
the worker, and the message is given to the next one. Here each message is checked as it leaves Redis, before
it counts as received, so a refused one comes back to no worker.
"""

import base64
import functools
import logging
from collections.abc import Callable
from types import NoneType
from typing import Any

from celery.app.task import Context
from kombu.exceptions import DecodeError
from kombu.serialization import loads as loads_content
from kombu.serialization import unregister
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

MOST_BYTES = 64 << 20
"""Largest message; the aggregation of a thousand clients with large networks stays below."""
MOST_LEVELS = 64
"""Deepest nesting of lists and mappings."""
REPLY_QUEUE = ".reply.celery.pidbox"
"""End of the name of a queue with replies to remote control, which are not tasks."""

SEALED = "application/x-sealed"
"""Content type of `helpers.sites.sealed_orders`."""
TEXT, OPTIONAL_TEXT, OPTIONAL_COUNT = (str,), (str, NoneType), (int, NoneType)
ENVELOPE: dict[str, tuple[type, ...]] = {
    "body": OPTIONAL_TEXT,
    "content-type": OPTIONAL_TEXT,
    "content-encoding": OPTIONAL_TEXT,
    "headers": (dict, NoneType),
    "properties": (dict,),
}
PROPERTIES: dict[str, tuple[type, ...]] = {
    "delivery_tag": TEXT,
    "delivery_info": (dict,),
    "body_encoding": OPTIONAL_TEXT,
    "correlation_id": OPTIONAL_TEXT,
    "reply_to": (str, dict, NoneType),
    "priority": OPTIONAL_COUNT,
    "delivery_mode": (int, str, NoneType),
}
DELIVERY: dict[str, tuple[type, ...]] = {"exchange": TEXT, "routing_key": TEXT}
HEADERS: dict[str, tuple[type, ...]] = {
    "task": TEXT,
    "id": TEXT,
    "eta": (NoneType,),  # never used here
    "expires": (NoneType,),
    "timelimit": (list, NoneType),
    "retries": OPTIONAL_COUNT,
    "group_index": OPTIONAL_COUNT,
    "replaced_task_nesting": OPTIONAL_COUNT,
    "ignore_result": (bool, NoneType),
    "stamped_headers": (list, NoneType),
    "stamps": (dict, NoneType),
    **dict.fromkeys(("lang", "shadow", "root_id", "parent_id", "group", "meth"), OPTIONAL_TEXT),
    **dict.fromkeys(("argsrepr", "kwargsrepr", "origin"), OPTIONAL_TEXT),
}
"""What Celery reads of a task's headers."""
EMBEDDED: dict[str, tuple[type, ...]] = {
    "callbacks": (list, NoneType),
    "errbacks": (list, NoneType),
    "chain": (list, NoneType),
    "chord": (dict, NoneType),
}
NO_LIMIT: tuple[Any, ...] = (None, [], [None, None])

for _name in ("pickle", "yaml", "msgpack"):  # Celery decodes what is signed whatever its content type
    unregister(_name)  # type: ignore[no-untyped-call]

logger = logging.getLogger(__name__)


class _Refused(Exception):
    """A message that Celery must not see; the text is the reason."""


def why_refused(item: Any, *, is_task: bool, are_sealed: bool = False) -> str:
    """Return why a message cannot be handled; empty if it can.

    Args:
        item: the message as Redis returned it.
        is_task: whether it came from a queue of tasks.
        are_sealed: whether tasks must be signed and sealed, as those of a deployment are.
    """
    try:
        message = _checked_envelope(item)
        if is_task:
            _check_task(message, are_sealed)
    except _Refused as reason:
        return str(reason)
    except Exception as error:  # noqa: BLE001 - whatever kombu's decoder raises, RecursionError included
        return f"it cannot be decoded: {type(error).__name__}"
    return ""


def _checked_envelope(item: Any) -> dict[str, Any]:
    if len(item) > MOST_BYTES:
        raise _Refused(f"it has {len(item) >> 20} MiB; at most {MOST_BYTES >> 20} are accepted")
    message = _loads(item)
    _check_types(message, ENVELOPE, "message")
    headers, properties = message.get("headers") or {}, message["properties"]
    if headers.get("compression") is not None:
        raise _Refused("it is compressed")
    _check_types(properties, PROPERTIES, "properties")
    _check_types(properties["delivery_info"], DELIVERY, "delivery_info")
    if properties.get("body_encoding") not in (None, "base64"):
        raise _Refused("its body_encoding is unknown")
    _check_depth(message)
    return dict(message)


def _loads(text: str | bytes) -> Any:
    """Return what kombu reads, whose JSON has types of its own."""
    return loads(text.decode() if isinstance(text, bytes) else text)  # type: ignore[no-untyped-call]


def _check_task(message: dict[str, Any], are_sealed: bool) -> None:
    kind, expected = message.get("content-type"), SEALED if are_sealed else "application/json"
    if kind != expected:
        raise _Refused(f"its content-type is {ascii(kind)[:60]}, not {expected}")
    headers = message.get("headers") or {}
    _check_types(headers, HEADERS, "headers")
    if headers.get("timelimit") not in NO_LIMIT:
        raise _Refused("header timelimit: limits are not used here")
    if not all(isinstance(name, str) for name in headers.get("stamped_headers") or ()):
        raise _Refused("header stamped_headers: a name is not a text")
    # A header of another name would replace the attribute of a task's context.
    if others := sorted(name for name in headers.keys() - HEADERS.keys() if hasattr(Context, name)):
        raise _Refused(f"headers {others} do not belong to a message")
    body = message.get("body") or ""
    if message["properties"].get("body_encoding") == "base64":
        body = base64.b64decode(body)
    content = _opened(body) if are_sealed else _loads(body)
    _check_depth(content)
    match content:
        case [list(), dict(), dict() as embedded]:
            _check_types(embedded, EMBEDDED, "body")
        case _:
            raise _Refused("its body is not [arguments, named arguments, what follows]")


def _opened(body: str | bytes) -> Any:
    """Return the content of a sealed and signed body."""
    try:
        return loads_content(body, SEALED, "binary", accept={SEALED})  # type: ignore[no-untyped-call]
    except DecodeError as error:
        raise _Refused(f"it is not sealed and signed by the coordinator: {str(error)[:200]}") from None


def _check_types(values: Any, types: dict[str, tuple[type, ...]], where: str) -> None:
    if not isinstance(values, dict):
        raise _Refused(f"{where}: a {type(values).__name__} instead of a mapping")
    for name, allowed in types.items():
        value = values.get(name)
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            kind = "missing" if name not in values else f"{type(value).__name__} is not allowed"
            raise _Refused(f"{where}, {name}: {kind}")


def _check_depth(content: Any) -> None:
    level, depth = [content], 0
    while level:
        if depth > MOST_LEVELS:
            raise _Refused(f"it is nested more than {MOST_LEVELS} deep")
        parts = (part.values() if isinstance(part, dict) else part for part in level)
        level = [child for part in parts for child in part if isinstance(child, (dict, list))]
        depth += 1


class CheckedChannel(kombu_redis.Channel):
    """Channel that passes on only what `why_refused` does not object to.

    Attributes:
        are_sealed: whether tasks must be signed and sealed.
    """

    are_sealed = False

    def _create_client(self, asynchronous: bool = False) -> Any:
        client = super()._create_client(asynchronous)  # type: ignore[no-untyped-call]
        if asynchronous:  # the one that waits for messages
            client.parse_response = functools.partial(self._parse, client.parse_response)
        return client

    def _parse(self, parse: Callable[..., Any], connection: Any, command: Any, **options: Any) -> Any:
        response = parse(connection, command, **options)
        if command != "BRPOP" or not response:
            return response
        queue = str(bytes_to_str(response[0])).rsplit(self.sep, 1)[0]  # type: ignore[no-untyped-call]
        is_task = not queue.endswith(REPLY_QUEUE)
        reason = why_refused(response[1], is_task=is_task, are_sealed=self.are_sealed)
        if reason:
            logger.error("a message in the queue %s is dropped: %s", queue, reason)
            return None  # as if none had come
        return response

    def _handle_message(self, client: Any, response: Any) -> Any:
        payload = super()._handle_message(client, response)  # type: ignore[no-untyped-call]
        data = payload["data"]
        if isinstance(data, (bytes, str)) and data and (reason := why_refused(data, is_task=False)):
            logger.error("a broadcast message is dropped: %s", reason)
            payload["data"] = None
        return payload

    def _deliver_fanout_message(self, message: Any, exchange: str) -> Any:
        try:
            return super()._deliver_fanout_message(message, exchange)  # type: ignore[no-untyped-call]
        except self.connection_errors:
            raise
        except Exception as error:  # noqa: BLE001 - Celery trusts the content of other workers' events
            logger.error("a broadcast message is dropped: %s", type(error).__name__)
            return False


class CheckedTransport(kombu_redis.Transport):
    """kombu's Redis transport with checked channels."""

    Channel = CheckedChannel


def check_messages(*, are_sealed: bool = False) -> None:
    """Check all messages that this process receives from now on, and that tasks are sealed."""
    CheckedChannel.are_sealed = are_sealed
    name = f"{CheckedTransport.__module__}:{CheckedTransport.__name__}"
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), name))
