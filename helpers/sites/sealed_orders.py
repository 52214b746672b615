"""Serializers of a deployment's orders: Celery's `auth` signs an order, then it is sealed to its receiver.

Orders to the worker that averages carry the replies of sites, so the operator of Redis must not read them.
"""

from typing import Any

from celery.security.serialization import register_auth
from kombu.serialization import dumps, loads, register
from kombu.utils.encoding import ensure_bytes

from helpers.cluster.keys import SITE_QUEUE
from helpers.cluster.message_filter import SEALED
from helpers.sites.deployment import COORDINATOR, Deployment
from helpers.sites.sealing import Sealer

AUTH = "auth"
AUTH_TYPE = "application/data"
"""Name and content type of Celery's serializer that signs."""
PREFIX = "sealed-"
"""Of the serializers' names; the receiver's follows."""


def register_sealed(deployment: Deployment) -> dict[str, Any]:
    """Register a serializer for each receiver; return the settings with which Celery uses them.

    Every member opens what is sealed to itself, if the coordinator has sealed and signed it.
    """
    register_auth(**deployment.order_signature(), store=str(deployment.orders_certificate))
    sealers = {
        name: Sealer(deployment.sealing, member.sealing) for name, member in deployment.members.items()
    }

    def open_own(data: Any) -> Any:
        signed = sealers[COORDINATOR].open(_purpose(deployment.name), bytes(data))
        return loads(signed, AUTH_TYPE, "utf-8", accept={AUTH_TYPE})  # type: ignore[no-untyped-call]

    def sealed_to(name: str) -> Any:
        def seal(content: Any) -> bytes:
            signed = dumps(content, serializer=AUTH)[2]  # type: ignore[no-untyped-call]
            return sealers[name].seal(_purpose(name), ensure_bytes(signed))  # type: ignore[no-untyped-call]

        return seal

    for name in sealers:
        register(PREFIX + name, sealed_to(name), open_own, SEALED, "binary")  # type: ignore[no-untyped-call]
    return {
        "task_serializer": PREFIX + COORDINATOR,
        "accept_content": [PREFIX + COORDINATOR],  # that is its content type, the same for all
        "task_routes": [_seal_to_receiver],
    }


def _seal_to_receiver(name: str, args: Any, kwargs: Any, options: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Choose the serializer by the queue."""
    queue = options.get("queue")
    queue_name = str(getattr(queue, "name", queue) or "")
    receiver = queue_name.removeprefix(SITE_QUEUE) if queue_name.startswith(SITE_QUEUE) else COORDINATOR
    return {"serializer": PREFIX + receiver}


def _purpose(receiver: str) -> str:
    return f"orders to {receiver}"
