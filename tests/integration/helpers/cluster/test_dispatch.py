"""The dispatcher while Redis is away."""

import time
from types import SimpleNamespace
from typing import Any

from celery import Celery, chord

from helpers.cluster.dispatch import Dispatcher


def test_sending_does_not_outlast_the_supervisors_patience_while_redis_is_away() -> None:
    nowhere = "redis://127.0.0.1:1/0"
    app = Celery(broker=nowhere, backend=nowhere)
    app.conf.result_backend_transport_options = {"retry_policy": {"max_retries": 60, "interval_max": 5}}
    no_one: Any = None
    dispatcher = Dispatcher(app, no_one, no_one, 60.0)
    began = time.monotonic()
    dispatcher.send(lambda: chord([app.signature("t"), app.signature("t")], app=app)(app.signature("t")))
    dispatcher.forget_results([SimpleNamespace(id="t")])
    assert time.monotonic() - began < 10
