"""Orders of a deployment: only their receiver opens them, and only the coordinator makes them."""

import base64
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.app.defaults import DEFAULT_SECURITY_DIGEST
from celery.security.certificate import Certificate
from celery.security.key import PrivateKey
from celery.security.serialization import SecureSerializer, register_auth
from celery.security.utils import get_digest_algorithm
from kombu.serialization import dumps, registry
from kombu.utils.encoding import ensure_bytes

from helpers.cluster.message_filter import SEALED, why_refused
from helpers.sites import certificates
from helpers.sites.deployment import COORDINATOR, Deployment
from helpers.sites.provisioning import Provision
from helpers.sites.sealed_orders import AUTH, PREFIX, register_sealed
from helpers.sites.sealing import Sealer

ORDER = [[{"run": "r", "replies": [{"tally": "secret counts"}]}], {}, {}]
SITES = ["north", "south"]

Member = Callable[[str], Deployment]


@pytest.fixture
def member(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Member]:
    monkeypatch.setattr(certificates, "RSA_BITS", 1024)
    Provision.create(tmp_path / "p", SITES, "127.0.0.1", 1, "127.0.0.1")
    places = {name: tmp_path / "p/sites" / name for name in SITES} | {COORDINATOR: tmp_path / "p/coordinator"}
    yield lambda name: Deployment.open(places[name])
    for name in (AUTH, *(PREFIX + each for each in places)):
        registry.unregister(name)


def sealed_by(sender: Deployment, receiver: str, content: Any = ORDER) -> dict[str, Any]:
    register_sealed(sender)
    kind, encoding, body = dumps(content, serializer=PREFIX + receiver)
    return message(body) | {"content-type": kind, "content-encoding": encoding}


def message(body: bytes) -> dict[str, Any]:
    task = Celery().amqp.as_task_v2("id-1", "tasks.train", args=[{"run": "r"}])
    return {
        "body": base64.b64encode(body).decode(),
        "headers": task.headers,
        "properties": {
            "delivery_tag": "tag",
            "body_encoding": "base64",
            "delivery_info": {"exchange": "aggregate", "routing_key": "aggregate"},
        },
    }


def reason_at(receiver: Deployment, item: dict[str, Any]) -> str:
    register_sealed(receiver)
    return why_refused(json.dumps(item), is_task=True, are_sealed=True)


@pytest.mark.parametrize("receiver", [*SITES, COORDINATOR])
def test_an_order_is_opened_by_its_receiver_alone(member: Member, receiver: str) -> None:
    item = sealed_by(member(COORDINATOR), receiver)
    assert b"secret" not in base64.b64decode(item["body"])
    for name in (*SITES, COORDINATOR):
        reason = reason_at(member(name), item)
        assert reason == "" if name == receiver else "not sealed and signed by the coordinator" in reason


def test_nobody_else_makes_an_order(member: Member) -> None:
    north, south = member("north"), member("south")
    register_auth(**member(COORDINATOR).order_signature(), store=str(south.orders_certificate))
    signed = dumps(ORDER, serializer=AUTH)[2]
    recorded = signed if isinstance(signed, bytes) else signed.encode()
    by_south = Sealer(south.sealing, north.members["north"].sealing).seal("orders to north", recorded)
    good = sealed_by(member(COORDINATOR), "north")
    assert reason_at(north, good) == ""
    for body in (by_south, recorded, b"x", b"x" * 48):
        bad = {**good, "body": base64.b64encode(body).decode()}
        assert "not sealed and signed by the coordinator" in reason_at(north, bad)
    assert reason_at(north, {**good, "body": ""})


def test_an_unsigned_order_is_refused_though_it_is_sealed(member: Member) -> None:
    """Sealed with the coordinator's key for replies, but not signed with that for orders."""
    north, coordinator = member("north"), member(COORDINATOR)
    body = Sealer(coordinator.sealing, coordinator.members["north"].sealing).seal(
        "orders to north", json.dumps(ORDER).encode()
    )
    good = sealed_by(coordinator, "north")
    bad = {**good, "body": base64.b64encode(body).decode()}
    assert "not sealed and signed by the coordinator" in reason_at(north, bad)


def test_other_messages_are_refused(member: Member) -> None:
    coordinator = member(COORDINATOR)
    good = sealed_by(coordinator, COORDINATOR)
    plain = {**message(json.dumps(ORDER).encode()), "content-type": "application/json"}
    assert "its content-type is" in reason_at(coordinator, plain)
    assert "its content-type is" in why_refused(json.dumps(good), is_task=True)
    assert "its body is not" in reason_at(coordinator, sealed_by(coordinator, COORDINATOR, [5]))


@pytest.mark.parametrize(
    ("queue", "receiver"),
    [("site.north", "north"), ("aggregate", COORDINATOR), ("averaging@h.dq2", COORDINATOR)],
)
def test_celery_seals_to_the_receiver_and_shows_no_arguments(
    member: Member, queue: str, receiver: str
) -> None:
    settings = register_sealed(member(COORDINATOR))
    app = Celery(broker="memory://", set_as_current=False)
    app.conf.update(settings)
    app.send_task("tasks.train", args=ORDER[0], queue=queue, ignore_result=True)
    with app.connection() as connection, connection.SimpleQueue(queue) as received:
        channel = received.channel
        (item,) = [channel._get(queue)]
    assert "secret" not in json.dumps(item)
    assert reason_at(member(receiver), item) == ""


class Touches:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


@pytest.mark.parametrize("kind", ["application/x-python-serialize", "application/x-yaml", "text/plain"])
def test_even_the_coordinator_sends_nothing_but_json(member: Member, tmp_path: Path, kind: str) -> None:
    """Its signature does not cover the content type inside the seal."""
    coordinator, north = member(COORDINATOR), member("north")
    signature = coordinator.order_signature()
    key, certificate = PrivateKey(signature["key"]), Certificate(signature["cert"])
    body = pickle.dumps([[Touches(tmp_path / "touched")], {}, {}])
    signed = SecureSerializer()._pack(
        body,
        kind,
        "binary",
        certificate.get_id(),
        key.sign(body, get_digest_algorithm(DEFAULT_SECURITY_DIGEST)),
    )
    sealed = Sealer(coordinator.sealing, coordinator.members["north"].sealing).seal(
        "orders to north", ensure_bytes(signed)
    )
    reason = reason_at(north, message(sealed) | {"content-type": SEALED, "content-encoding": "binary"})
    assert reason == "its body is not [arguments, named arguments, what follows]"
    assert not (tmp_path / "touched").exists()
