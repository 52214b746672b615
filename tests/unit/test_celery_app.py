"""The Celery app of a site's worker."""

import subprocess
import sys
from pathlib import Path

import pytest
from click import ClickException
from kombu.serialization import registry

import celery_app
from helpers.cluster.versions import ROOT
from helpers.sites import certificates
from helpers.sites.provisioning import Provision


def test_a_sites_worker_serves_one_queue_and_knows_its_tasks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DT_SITE", "north")
    settings = celery_app._settings()
    assert (
        [queue.name for queue in settings["task_queues"]]
        == ["site.north"]
        == [settings["task_default_queue"]]
    )
    assert settings["include"] == [
        "tasks.sites.train", "tasks.sites.score", "tasks.sites.own_test", "tasks.sites.secure_steps",
    ]  # fmt: skip
    monkeypatch.delenv("DT_SITE")
    settings = celery_app._settings()
    assert [queue.name for queue in settings["task_queues"]] == ["train", "aggregate"]


def test_a_sites_worker_with_queues_of_its_own_choice_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DT_SITE", "north")
    with pytest.raises(SystemExit, match="-Q: with DT_SITE=north"):
        celery_app._claim_name("w@host", {"queues": "aggregate"})


def test_a_site_touches_no_key_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DT_SITE", "north")
    settings = celery_app._settings()
    assert settings["result_backend"] is None
    assert not settings["worker_direct"]
    assert not settings["worker_enable_remote_control"]
    assert not settings["broker_transport_options"]["ack_emulation"]


def test_a_deployment_accepts_sealed_messages_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(certificates, "RSA_BITS", 1024)
    Provision.create(tmp_path / "p", ["north"], "127.0.0.1", 1, "127.0.0.1")
    monkeypatch.setenv("DT_DEPLOYMENT", str(tmp_path / "p/sites/north"))
    monkeypatch.setenv("DT_SITE", "north")
    settings = celery_app._settings()
    assert settings["task_serializer"] == "sealed-coordinator"
    assert settings["accept_content"] == ["sealed-coordinator"]
    for name in ("auth", "sealed-coordinator", "sealed-north"):
        registry.unregister(name)
    monkeypatch.delenv("DT_SITE")
    with pytest.raises(ClickException, match="that of north, not of coordinator"):
        celery_app._settings()


def test_nothing_of_sites_is_imported_where_there_are_none() -> None:
    lines = "import sys, celery_app, commands.training_parts; print('helpers.sites' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", lines], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
