"""The Celery app of a site's worker."""

import pytest

import celery_app


def test_a_sites_worker_serves_one_queue_and_knows_three_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DT_SITE", "north")
    settings = celery_app._settings()
    assert (
        [queue.name for queue in settings["task_queues"]]
        == ["site.north"]
        == [settings["task_default_queue"]]
    )
    assert settings["include"] == ["tasks.sites.train", "tasks.sites.score", "tasks.sites.own_test"]
    monkeypatch.delenv("DT_SITE")
    settings = celery_app._settings()
    assert [queue.name for queue in settings["task_queues"]] == ["train", "aggregate"]


def test_a_sites_worker_with_queues_of_its_own_choice_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DT_SITE", "north")
    with pytest.raises(SystemExit, match="-Q: with DT_SITE=north"):
        celery_app._claim_name("w@host", {"queues": "aggregate"})
