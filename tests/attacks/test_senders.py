"""Whoever may write to Redis, such as another site, sends orders to a real site, without the orchestrator."""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from helpers.cluster.heartbeat import live_workers
from helpers.cluster.job_board import JobBoard
from helpers.cluster.versions import ROOT, versions_here
from helpers.federated.messages import Order
from helpers.federated.sites.messages import ScoreOrder, SiteTrainOrder
from helpers.global_config import Config
from helpers.model_instance_helper import initial_weights, model_for
from helpers.sites.audit import AuditLog
from helpers.weight_store.redis_store import RedisStore
from helpers.weight_store.store import put_arrays
from tests.integration.conftest import Cluster, running_cluster, write_images

SETTINGS = {"INPUT_SHAPE": [16, 16]}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One site and its Redis."""
    folder = tmp_path_factory.mktemp("hospital")
    with running_cluster(folder, num_workers=1) as cluster:
        write_images(folder / "images", 80)
        prepare = [sys.executable, "preprocessing/load_and_create_dataset.py", "--input-shape", "16,16"]
        subprocess.run(prepare, cwd=ROOT, env=cluster.environment, check=True, capture_output=True)
        cluster.add_workers(1, DT_SITE="north")
        yield cluster


def send(cluster: Cluster, kind: type[Order], settings: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Send an order as the orchestrator would; return the site's entry about it."""
    (status,) = live_workers(cluster.client).values()
    digest = (status["site"] or {})["data_digest"]
    facts = {
        "run": "attack",
        "session": "s",
        "data_digest": digest,
        "versions": versions_here(),
        "attempt": 0,
    }
    order = kind(**facts, settings=SETTINGS | settings, site="north", origin="the orchestrator:/x", **fields)
    board, log = JobBoard(cluster.client, "attack", "s"), AuditLog(cluster.folder / "sites/north")
    before = len(log.entries())
    board.take_over(force=True)
    board.expect({order.job: 0})
    app = Celery(broker=cluster.server.url)
    app.send_task(kind.task, args=(order.to_message(),), queue="site.north")
    deadline = time.monotonic() + 180
    while len(log.entries()) == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return log.entries()[-1]


def test_scores_of_17_classes_are_refused(hospital: Cluster) -> None:
    pixels = {"CLASS_NAMES": [f"pixel {number}" for number in range(17)]}
    own = {"round": 1, "client": 0, "split": "val", "weights": {}, "threshold": 0.5}
    entry = send(hospital, ScoreOrder, pixels, **own)
    assert entry["decision"].startswith("refused: CLASS_NAMES: the order has ['pixel 0'")
    assert (entry["bytes_out"], entry["run"]) == (0, "attack")


def test_own_functions_are_refused(hospital: Cluster) -> None:
    own = {"round": 2, "clients": [0], "weights": {}, "sent_at": 0.0, "num_clients": 1, "client": 0}
    entry = send(hospital, SiteTrainOrder, {"ARCHITECTURE": "os:system"}, **own)
    assert entry["decision"].startswith("refused: ARCHITECTURE=os:system: site.toml allows seed_cnn")


def test_the_update_of_one_image_does_not_leave(hospital: Cluster) -> None:
    settings = {"TRAIN_BATCH_SIZE": 1, "ROUND_DEADLINE_S": 0.001, "AUGMENTATION": "none"}
    config = Config.from_run(SETTINGS | settings)
    store, names = RedisStore(hospital.client), model_for(config).names
    weights = put_arrays(store, "dt:attack:weights", names, initial_weights(config)).to_message()
    own = {"clients": [0], "weights": weights, "num_clients": 1, "client": 0, "sent_at": 0.0}
    for number in range(4, 8):
        entry = send(hospital, SiteTrainOrder, settings, round=number, **own)
        assert "stopped after 1 of " in entry["decision"], entry
        assert "site.toml has may_stop_early = false" in entry["decision"]
        assert entry["bytes_out"] == 0
    assert not list(hospital.client.scan_iter("*:update:*"))


def test_settings_of_the_machine_are_refused(hospital: Cluster) -> None:
    own = {"round": 3, "client": 0, "split": "val", "weights": {}, "threshold": 0.5}
    entry = send(hospital, ScoreOrder, {"SHARE_SCORES": "pairs"}, **own)
    assert entry["decision"] == "refused: ['SHARE_SCORES'] are not settings of a run"
