"""Real workers that are sent messages no Celery application sends: they stay and do their work."""

import base64
import bz2
import json
from typing import Any

from tests.integration.conftest import Cluster
from tests.unit.helpers.cluster.test_message_filter import message

BODIES: list[Any] = [5, {}, [1, 2], None, [[], {}], [[], {}, 5]]
HEADERS: list[dict[str, Any]] = [
    {"task": ["t"]}, {"task": "tasks.unknown"}, {"expires": []}, {"eta": []}, {"timelimit": "x"},
    {"stamps": 4}, {"stamped_headers": 4}, {"id": None}, {"ignore_result": []}, {"retries": "x"},
]  # fmt: skip


def poisons() -> list[Any]:
    items: list[Any] = [b"5", b"null", b"{}", b"[1,2]", b"\xff", b"", b"[" * 100_000]
    items += [json.dumps(message(**headers)) for headers in HEADERS]
    for body in BODIES:
        items.append(json.dumps(message() | {"body": base64.b64encode(json.dumps(body).encode()).decode()}))
    bomb = message(compression="bzip2")
    bomb["body"] = base64.b64encode(bz2.compress(bytes(100 << 20))).decode()
    return [*items, json.dumps(bomb)]


def test_workers_survive_messages_of_any_form_and_train(cluster: Cluster) -> None:
    cluster.have_workers(3)
    before, client = cluster.pids(), cluster.client
    of_killed = client.hlen("unacked")
    for item in poisons():
        client.lpush("train", item)
        client.lpush("aggregate", item)
    for item in (b"5", b"[" * 100_000, json.dumps(message()), json.dumps(message() | {"body": "5"})):
        client.publish("/0.celery.pidbox", item)
        client.publish("/0.celeryev/worker.heartbeat", item)
    done = cluster.train("--run", "poison", "--epochs", "1", "--num-workers", "3")
    assert done.returncode == 0, done.stderr
    assert cluster.pids() == before
    assert client.llen("train") == client.llen("aggregate") == 0
    assert client.hlen("unacked") == of_killed
    assert "is dropped" in "".join(log.read_text() for log in cluster.folder.glob("*.log"))
