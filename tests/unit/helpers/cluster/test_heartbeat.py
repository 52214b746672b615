"""The health check of containers: whether this machine has a live worker."""

import socket

import fakeredis
import pytest

from helpers.cluster.heartbeat import Heartbeat, has_worker_here


def test_a_worker_of_another_machine_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    client = fakeredis.FakeRedis()
    assert not has_worker_here(client)
    worker = Heartbeat(client, "w@host", {})
    worker.claim()
    assert not has_worker_here(client)  # it does not take tasks yet
    worker.show_ready()
    assert has_worker_here(client)
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    assert not has_worker_here(client)
