"""The dispatcher: what its messages show, and what it does while Redis is away."""

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, chord

from helpers.cluster.connection import connect
from helpers.cluster.dispatch import Dispatcher
from helpers.cluster.keys import LIFETIME_S
from helpers.cluster.site_dispatch import SiteDispatcher
from helpers.federated.messages import TrainOrder
from helpers.launcher.embedded_redis import find_binary, start_server


def test_sending_does_not_outlast_the_supervisors_patience_while_redis_is_away() -> None:
    nowhere = "redis://127.0.0.1:1/0"
    app = Celery(broker=nowhere, backend=nowhere)
    app.conf.result_backend_transport_options = {"retry_policy": {"max_retries": 60, "interval_max": 5}}
    no_one: Any = None
    dispatcher = Dispatcher(app, no_one, no_one, 60.0)
    began = time.monotonic()
    dispatcher.send(lambda: chord([app.signature("t"), app.signature("t")], app=app)(app.signature("t")))
    dispatcher.forget_results([SimpleNamespace(id="t")])
    assert time.monotonic() - began < 30  # Celery would try for five minutes


@pytest.mark.parametrize(("kind", "shown"), [(Dispatcher, "(round 1, client 2)"), (SiteDispatcher, "()")])
def test_monitors_see_which_job_a_message_is_and_nothing_of_a_site(
    kind: type[Dispatcher], shown: str
) -> None:
    no_one: Any = None
    dispatcher = kind(Celery(broker="memory://", backend="redis://127.0.0.1:1/0"), no_one, no_one, 60.0)
    order = TrainOrder("run", "session", {}, "", {}, 0, 1, [2], {}, 0.0, 2, num_clients=3)
    assert dispatcher.signature(order).options["argsrepr"] == shown


def test_celery_keeps_no_result_of_a_chord_and_subscribes_to_none(tmp_path: Path) -> None:
    """It would keep 1.6 KB for each client in each round, and Redis a subscription."""
    with start_server(find_binary(), tmp_path / "redis") as server, connect(server.url) as client:

        def kept_and_channels(app: Celery, send: Callable[[Callable[[], Any]], Any]) -> tuple[int, int]:
            send(lambda: chord([app.signature("t"), app.signature("t")], app=app)(app.signature("t")))
            kept, channels = len(app.backend._pending_results.concrete), len(client.pubsub_channels())
            app.backend._pending_results.concrete.clear()  # a result that goes needs the server
            app.close()
            return kept, channels

        no_one: Any = None
        apps = [Celery(broker=server.url, backend=server.url) for _ in range(2)]
        assert kept_and_channels(apps[0], lambda send: send()) == (2, 2)
        assert kept_and_channels(apps[1], Dispatcher(apps[1], no_one, no_one, 60.0).send) == (0, 0)


def test_what_a_killed_worker_left_in_its_queue_expires(tmp_path: Path) -> None:
    with start_server(find_binary(), tmp_path / "redis") as server:
        app = Celery(broker=server.url, backend=server.url)
        no_one: Any = None
        idle: Any = SimpleNamespace(workers=SimpleNamespace(unable={}))
        dispatcher = Dispatcher(app, no_one, idle, 60.0)
        order = TrainOrder("run", "session", {}, "", {}, 0, 1, [2], {}, 0.0, 2, num_clients=3)
        dispatcher.job(order).send(0, "killed@host")
        app.close()
        with connect(server.url) as client:
            assert client.llen("killed@host.dq2") == 1
            assert 0 < client.ttl("killed@host.dq2") <= LIFETIME_S
