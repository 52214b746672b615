"""What a command of this machine uses and what it starts: Redis, databases and workers."""

import json
import socket
import time

import pytest

from helpers.cluster import keys
from helpers.cluster.connection import answers, connect
from helpers.cluster.errors import RedisUnreachable
from helpers.cluster.heartbeat import LIFETIME_S
from helpers.cluster.versions import ROOT
from helpers.global_config import Config
from helpers.launcher import local_cluster as launcher
from helpers.launcher import shared_redis
from helpers.launcher.embedded_redis import packaged_binary, start_server
from helpers.launcher.local_cluster import LocalCluster, local_cluster, machine_settings
from helpers.launcher.own_clusters import own_addresses
from helpers.launcher.shared_redis import free_database, usable_workers


@pytest.fixture
def redis_url(tmp_path):
    with start_server(packaged_binary(), tmp_path / "redis") as server:
        yield server.url


@pytest.fixture
def config(redis_url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Config.load(REDIS_URL=redis_url)


@pytest.fixture
def started(monkeypatch):
    """Pretend to start workers; return what would have been started."""
    calls = []

    class Workers:
        def __init__(self, names, environment, sink, options, say):
            calls.append((names, environment["REDIS_URL"]))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            calls.append("stopped")

        def wait_until_ready(self, client):
            pass

    monkeypatch.setattr(launcher, "WorkerProcesses", Workers)
    return calls


def show_worker(url: str, name: str, folder, **changes) -> None:
    """Let a worker appear that reads and writes folders in `folder`."""
    places = {"PREPROCESSED_DIR": "preprocessed", "METRICS_DIR": "metrics", "MODELS_DIR": "models"}
    status = {
        "token": "t",
        "pid": 1,
        "task": None,
        "ready": True,
        "host": socket.gethostname(),
        "queues": ["train", "aggregate"],
        "folders": {key: str(folder / place) for key, place in places.items()} | {"checkout": str(ROOT)},
        "weight_store": "redis",
    } | changes
    connect(url).set(keys.worker(name), json.dumps(status), ex=60)


def test_running_workers_with_the_same_folders_are_used(redis_url, config, tmp_path, started):
    show_worker(redis_url, "w1@host", tmp_path)
    show_worker(redis_url, "w2@host", tmp_path)
    lines = []
    for number in (None, 1, 2):
        with local_cluster(config, number, tmp_path / "logs", say=lines.append) as cluster:
            assert (cluster.redis_url, cluster.workers) == (redis_url, None)
    assert started == []
    assert lines[-1] == "Workers: w1@host, w2@host (already running)"


def test_too_few_running_workers_are_left_alone(redis_url, config, tmp_path, started):
    show_worker(redis_url, "w1@host", tmp_path)
    with local_cluster(config, 2, tmp_path / "logs") as cluster:
        assert cluster.redis_url == redis_url.removesuffix("/0") + "/1"
    assert started == [(["worker1", "worker2"], cluster.redis_url), "stopped"]


def test_workers_in_an_empty_database_that_the_user_named(redis_url, config, tmp_path, started, monkeypatch):
    monkeypatch.setattr(shared_redis, "INTERVAL_S", 0.01)
    with local_cluster(config, None, tmp_path / "logs", default=1) as cluster:
        assert cluster.redis_url == redis_url
        assert 0 < connect(redis_url).ttl(keys.reservation()) <= LIFETIME_S  # not for long, but renewed
        connect(redis_url).delete(keys.reservation())
        deadline = time.monotonic() + 60
        while not connect(redis_url).exists(keys.reservation()):
            assert time.monotonic() < deadline, "it was not renewed"
            time.sleep(0.01)
        assert usable_workers(redis_url, config) == []  # those are reserved for this command
        with local_cluster(config, None, tmp_path / "logs", default=1) as other:
            assert other.redis_url != redis_url
    assert not connect(redis_url).exists(keys.reservation())
    assert answers(connect(redis_url))


@pytest.mark.parametrize(
    "changes",
    [
        {"folders": {}},
        {"queues": ["train"]},
        {"host": "elsewhere"},
        {"ready": False},
        {"folders": {"PREPROCESSED_DIR": "/data", "METRICS_DIR": "/m", "MODELS_DIR": "/models"}},
    ],
)
def test_other_workers_are_not_usable(redis_url, config, tmp_path, changes):
    show_worker(redis_url, "w1@host", tmp_path, **changes)
    assert usable_workers(redis_url, config) == []


def test_workers_find_images_one_level_below_their_folder(redis_url, config, tmp_path):
    show_worker(redis_url, "w1@host", tmp_path)
    below = config.model_copy(update={"PREPROCESSED_DIR": tmp_path / "preprocessed" / "mine"})
    assert usable_workers(redis_url, below) == ["w1@host"]


def test_a_redis_full_of_workers_is_refused(redis_url, tmp_path):
    for number in range(16):
        show_worker(redis_url.removesuffix("0") + str(number), "w1@host", tmp_path, ready=False)
    with (
        pytest.raises(RedisUnreachable, match="every database has workers"),
        free_database(redis_url, is_given=True),
    ):
        pass


def test_a_redis_that_was_started_is_stopped(tmp_path, monkeypatch, started):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setattr("helpers.launcher.embedded_redis.USUAL_URL", "redis://127.0.0.1:1/0")
    with local_cluster(Config.load(), 1, tmp_path / "logs") as cluster:
        assert answers(connect(cluster.redis_url))
    assert not answers(connect(cluster.redis_url))


def test_a_redis_is_started_at_a_free_port_that_the_user_named(tmp_path, monkeypatch, started):
    monkeypatch.chdir(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{probe.getsockname()[1]}/0"
    with local_cluster(Config.load(REDIS_URL=url), 1, tmp_path / "logs") as cluster:
        assert cluster.redis_url == url
        assert answers(connect(url))
        assert url in own_addresses()
    assert not answers(connect(url))


def test_workers_get_the_settings_of_this_machine(config, tmp_path):
    settings = {"OWN_ARCHITECTURES": ("a:b", "c:d"), "SHARE_SCORES": "none", "EPOCHS": 3}
    environment = machine_settings(config.model_copy(update=settings))
    assert environment["DT_OWN_ARCHITECTURES"] == "a:b,c:d"
    assert environment["DT_SHARE_SCORES"] == "none"
    assert environment["DT_METRICS_DIR"] == str(tmp_path / "metrics")
    assert not {"DT_EPOCHS", "DT_REDIS_URL", "DT_SITE", "DT_TEST_DIR"} & environment.keys()


def test_a_command_keeps_the_folders_of_its_own_settings(redis_url):
    cluster = LocalCluster(redis_url, {"DT_METRICS_DIR": "/elsewhere"}, None)
    lines = []
    cluster.run(["-c", "import os; print(os.environ.get('DT_METRICS_DIR'))"], lines.append)
    assert lines == ["None"]
