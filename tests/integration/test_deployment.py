"""Three sites of a provisioned deployment, at Debian's Redis under TLS, and what one of them cannot do."""

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import redis

from helpers.cluster.connection import connect
from helpers.cluster.run_feed import RunFeed
from helpers.cluster.versions import ROOT
from helpers.launcher.child_processes import start_apart, stop_all
from helpers.launcher.worker_processes import WorkerProcesses
from helpers.sites.audit import AuditLog
from helpers.sites.deployment import Deployment
from helpers.sites.sealing import Sealer
from helpers.weight_store.redis_store import RedisStore
from helpers.weight_store.store import StoreError
from tests.integration.conftest import SMALL, log_to, places, write_images

SITES = {"north": 60, "south": 50, "east": 40}
ADMIN = "user admin on >only-the-test-knows ~* &* +@all\n"  # to ask what was denied


@dataclass
class Deployed:
    """A running deployment.

    Attributes:
        folder: everything, with the deployment in `provision`.
        groups: worker processes by member, all stopped at the end.
    """

    folder: Path
    groups: dict[str, WorkerProcesses] = field(default_factory=dict)

    def place(self, member: str) -> Path:
        at = self.folder / "provision"
        return at / member if member == "coordinator" else at / "sites" / member

    def environment(self, member: str) -> dict[str, str]:
        """The environment of a member, from its file."""
        place = self.place(member)
        (file,) = place.glob("*.env")
        script = f'. "{file}" && env -0'
        start = {**os.environ, "DT_DEPLOYMENT": str(place)}
        done = subprocess.run(["sh", "-c", script], env=start, check=True, capture_output=True, text=True)
        own = places(self.folder / member) | {"DT_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        return dict(line.split("=", 1) for line in done.stdout.split("\0") if line) | own

    def client(self, member: str) -> redis.Redis:
        return connect(self.environment(member)["REDIS_URL"])

    @property
    def admin(self) -> redis.Redis:
        url = self.environment("coordinator")["REDIS_URL"]
        place = url.partition("@")[2]
        return connect(f"rediss://admin:only-the-test-knows@{place}")

    def denied(self) -> list[tuple[str, str]]:
        return [(entry["username"], entry["object"]) for entry in self.admin.acl_log()]

    def start_worker(self, member: str) -> None:
        log = log_to(self.folder / f"{member}.log")
        self.groups[member] = WorkerProcesses([f"w-{member}"], self.environment(member), log)

    def train(self, run: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "distributed_training_index.py", *SMALL, "--data-at", "sites"]
        command += ["--min-clients", "3", "--worker-timeout-s", "20", "--run", run, *options]
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment("coordinator"),
            capture_output=True,
            text=True,
            timeout=400,
        )

    def logs(self) -> str:
        return "\n".join(file.read_text() for file in sorted(self.folder.glob("*.log")))

    def wait_for_line(self, member: str, text: str, timeout_s: float = 120.0) -> None:
        """Wait until a member's log or audit log has a text."""
        files = self.folder / f"{member}.log", self.place(member) / "audit.jsonl"
        deadline = time.monotonic() + timeout_s
        while not any(text in file.read_text() for file in files if file.exists()):
            assert time.monotonic() < deadline, f"{text!r} is not in {[str(file) for file in files]}"
            time.sleep(0.1)

    def written(self) -> bytes:
        """Everything that was ever written to the server."""
        files = sorted((self.folder / "provision/server").rglob("*.aof"))
        return b"".join(file.read_bytes() for file in files)

    def sent_to(self, queue: str) -> list[dict[str, Any]]:
        """The messages that were put into a queue, as the operator of Redis can record them."""
        written, messages = self.written(), []
        for match in re.finditer(
            rb"LPUSH\r\n\$\d+\r\n" + re.escape(queue.encode()) + rb"\r\n\$(\d+)\r\n", written
        ):
            messages.append(json.loads(written[match.end() : match.end() + int(match[1])]))
        return messages

    def signed_order(self, message: dict[str, Any], site: str = "north") -> bytes:
        """What the site finds in a message that is sealed to it."""
        keys = Deployment.open(self.place(site))
        sealer = Sealer(keys.sealing, keys.members["coordinator"].sealing)
        return sealer.open(f"orders to {site}", base64.b64decode(message["body"]))

    def order(self, message: dict[str, Any], site: str = "north") -> dict[str, Any]:
        fields = base64.b64decode(self.signed_order(message, site)).split(b"\x00\x01", 4)
        order: dict[str, Any] = json.loads(fields[4])[0][0]
        return order


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(deployed: Deployed, host: str = "127.0.0.1") -> Iterator[Deployed]:
    """Provision a deployment and run it: Redis, the worker of the coordinator and three sites."""
    binary = shutil.which("redis-server")
    if binary is None or os.name != "posix":
        pytest.skip("needs redis-server on PATH (on Debian: apt-get install redis-server)")
    folder = deployed.folder
    provision = [sys.executable, "run.py", "provision", "--sites", ",".join(SITES), "--host", host]
    provision += ["--port", str(free_port()), "--out", str(folder / "provision")]
    subprocess.run(provision, cwd=ROOT, check=True)
    server = folder / "provision/server"
    with (server / "users.acl").open("a") as users:
        users.write(ADMIN)
    log = server / "server.log"
    with log.open("wb") as output:
        script = f'cd "{server}" && exec "{binary}" redis.conf'
        process = start_apart(["sh", "-c", script], output)
    try:
        while "Ready to accept connections" not in log.read_text():
            if process.poll() is not None:
                pytest.skip(f"{binary} has no TLS or is older than 7: {log.read_text()[-500:]}")
            time.sleep(0.05)
        for name, count in SITES.items():
            write_images(folder / name / "images", count, seed=count)
            prepare = [sys.executable, "preprocessing/load_and_create_dataset.py"]
            prepare += ["--input-shape", "16,16", "--validation-fraction", "0.3"]
            subprocess.run(prepare, cwd=ROOT, env=deployed.environment(name), check=True, capture_output=True)
        for member in ("coordinator", *SITES):
            deployed.start_worker(member)
        for workers in deployed.groups.values():
            workers.wait_until_ready(deployed.client("coordinator"))
        yield deployed
    finally:
        for workers in deployed.groups.values():
            workers.stop(grace_s=5)
        stop_all([process])


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with running(Deployed(tmp_path_factory.mktemp("deployment"))) as deployed:
        yield deployed


def test_three_sites_train_without_a_denied_command(deployed: Deployed) -> None:
    done = deployed.train("first", "--epochs", "2", "--update-dtype", "int8", "--compare")
    assert done.returncode == 0, done.stdout + done.stderr + deployed.logs()
    clients = pd.read_csv(deployed.folder / "coordinator/metrics/first/clients.csv")
    assert clients["site"].tolist() == sorted(SITES) * 2
    assert set(clients["status"]) == {"ok"}
    assert (deployed.folder / "coordinator/models/first/best.keras").exists()
    assert deployed.denied() == []


def test_sites_sum_private_updates_under_masks_with_signed_keys(deployed: Deployed) -> None:
    private = ("--dp", "example", "--dp-target-epsilon", "8", "--architecture", "seed_cnn_groupnorm")
    done = deployed.train("masked", "--epochs", "1", "--secure-aggregation", "true", *private)
    assert done.returncode == 0, done.stdout + done.stderr + deployed.logs()
    clients = pd.read_csv(deployed.folder / "coordinator/metrics/masked/clients.csv")
    assert set(clients["status"]) == {"ok"}
    orders = [deployed.order(message) for message in deployed.sent_to("site.north")]
    (shares,) = [order for order in orders if order["job"].startswith("shares:")]
    assert sorted(keys["site"] for keys in shares["keys"].values()) == sorted(SITES)
    assert all(len(keys["signature"]) == 128 for keys in shares["keys"].values())
    (reveal,) = [order for order in orders if order["job"].startswith("unmasking:")]
    assert [len(signature) for signature in reveal["confirmations"].values()] == [128] * 3
    for client, site in enumerate(sorted(SITES)):  # the site's own account agrees with the run's
        entries = AuditLog(deployed.place(site)).entries()
        (epsilon,) = [entry["epsilon"] for entry in entries if "epsilon" in entry]
        assert float(epsilon) == pytest.approx(clients["epsilon"][client], abs=0.001)
    assert deployed.denied() == []


def test_a_site_checks_its_machine(deployed: Deployed) -> None:
    command = [sys.executable, "run.py", "doctor"]
    done = subprocess.run(
        command, cwd=ROOT, env=deployed.environment("north"), capture_output=True, text=True, check=False
    )
    assert "answers at 127.0.0.1" in done.stdout, done.stdout + done.stderr
    assert deployed.denied() == []


def test_an_update_is_opened_by_the_coordinator_alone(deployed: Deployed) -> None:
    """The operator of Redis, with the keys of another site."""
    (name,) = set(re.findall(rb"dt:site:north:first:\w+:update:1:1:0(?=\r)", deployed.written()))
    key, store = name.decode(), RedisStore(deployed.admin)
    members = {name: Deployment.open(deployed.place(name)) for name in ("coordinator", "north", "south")}
    members["north"].sealed(store).put(key, [b"update"])
    assert members["coordinator"].sealed(store).get(key, 6) == b"update"
    with pytest.raises(StoreError, match="not sealed"):
        members["south"].sealed(store).get(key, 6)
    with pytest.raises(redis.exceptions.NoPermissionError):
        deployed.client("south").hgetall(key)
    deployed.admin.delete(key)


def test_the_operator_of_redis_reads_no_counts_and_no_orders(deployed: Deployed) -> None:
    """Of all that was ever written to it in two runs: replies, orders with the replies in them, the feed."""
    queues = {queue: deployed.sent_to(queue) for queue in ("aggregate", *(f"site.{name}" for name in SITES))}
    assert all(queues.values())
    bodies = [base64.b64decode(message["body"]) for sent in queues.values() for message in sent]
    written = deployed.written()
    assert len(re.findall(rb"RPUSH\r\n\$\d+\r\ndt:site:north:first:\w+:mail", written)) > 0
    # A long base64 text holds every short word by chance; those of the messages are decoded above.
    seen = b"".join([re.sub(rb"[A-Za-z0-9+/=]{64,}", b"", written), *bodies])
    secrets = b"tally", b"num_examples", b'"squares"', b'"loss"', b"EPOCHS", b"CLASS_NAMES"
    for secret in (*secrets, b"test AUC", b"roc_auc", b'"event"'):
        assert not (found := re.findall(b".{,200}" + secret + b".{,200}", seen, re.DOTALL)), found
    (first, *_) = (deployed.order(message) for message in queues["site.north"])
    assert "EPOCHS" in first["settings"]  # that is how an order looks
    envelopes = Deployment.open(deployed.place("coordinator"))
    entries, _ = RunFeed(deployed.client("coordinator"), "first", envelopes).read()
    assert any("test AUC" in entry.get("text", "") for entry in entries)  # so the feed had them


FORBIDDEN: dict[str, Callable[[redis.Redis], Any]] = {
    "read another's update": lambda client: client.hget("dt:site:north:r:s:update:1:0:0", "0"),
    "read another's replies": lambda client: client.lpop("dt:site:north:r:s:mail"),
    "read all replies": lambda client: client.hgetall("dt:run:r:s:answers"),
    "reply for another": lambda client: client.rpush("dt:site:north:r:s:mail", "{}"),
    "reply on the board": lambda client: client.hset("dt:run:r:s:answers", "train:1:0", "{}"),
    "expect what he likes": lambda client: client.hset("dt:run:r:s:attempts", "train:1:0", "0"),
    "stop a run": lambda client: client.set("dt:run:r:s:stop", 1),
    "watch a run": lambda client: client.xrange("dt:run:r:feed"),
    "write into its feed": lambda client: client.xadd("dt:run:r:feed", {"entry": "{}"}),
    "take a run over": lambda client: client.set("dt:run:r:session", "mine"),
    "replace the global weights": lambda client: client.rename("dt:site:south:x", "dt:run:r:s:weights:1"),
    "delete the global weights": lambda client: client.delete("dt:run:r:s:weights:1"),
    "end the global weights' life": lambda client: client.expire("dt:run:r:s:weights:1", 0),
    "send an order to a site": lambda client: client.lpush("site.north", "{}"),
    "send an order to the average": lambda client: client.lpush("aggregate", "{}"),
    "read a site's orders": lambda client: client.lrange("site.north", 0, -1),
    "read another's heartbeat": lambda client: client.get("dt:worker:north/w-north"),
    "forge a heartbeat": lambda client: client.set("dt:worker:north/w-north@h", "{}"),
    "forge one of the average": lambda client: client.set("dt:worker:averaging@h", "{}"),
    "redirect a queue": lambda client: client.sadd("_kombu.binding.site.north", "x"),
    "list the keys": lambda client: client.keys("*"),
    "walk over the keys": lambda client: client.scan(),
    "run a script": lambda client: client.eval("return redis.call('GET', 'dt:run:r:session')", 0),
    "broadcast": lambda client: client.publish("/0.celery.pidbox", "{}"),
    "listen": lambda client: client.execute_command("SUBSCRIBE", "x"),
    "watch all commands": lambda client: client.execute_command("MONITOR"),
    "configure the server": lambda client: client.config_get("*"),
    "see the users": lambda client: client.execute_command("ACL", "LIST"),
    "see the clients": lambda client: client.client_list(),
    "delete everything": lambda client: client.flushall(),
}


@pytest.mark.parametrize("act", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_a_site_cannot(deployed: Deployed, act: Callable[[redis.Redis], Any]) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        act(deployed.client("south"))


def test_no_site_gets_in_with_the_certificate_alone(deployed: Deployed) -> None:
    url = deployed.environment("south")["REDIS_URL"]
    stranger = url.replace("rediss://south:", "rediss://north:")
    with pytest.raises(redis.AuthenticationError):
        connect(stranger).ping()
    without_certificate = url.partition("&ssl_certfile")[0]
    with pytest.raises(redis.ConnectionError):
        connect(without_certificate).ping()


def test_a_site_drops_what_the_coordinator_did_not_sign(deployed: Deployed) -> None:
    recorded = deployed.sent_to("site.north")[0]
    body = json.dumps([[deployed.order(recorded)], {}, {}]).encode()
    unsigned = {**recorded, "content-type": "application/json", "body": base64.b64encode(body).decode()}
    deployed.admin.lpush("site.north", json.dumps(unsigned))
    deployed.wait_for_line("north", "is dropped: its content-type is 'application/json'")
    payload = base64.b64decode(deployed.signed_order(recorded))
    changed = base64.b64encode(payload.replace(b'"site": "north"', b'"site": "norht"'))
    own = Deployment.open(deployed.place("coordinator"))  # as if the key for seals were stolen
    sealed = Sealer(own.sealing, own.members["north"].sealing).seal("orders to north", changed)
    deployed.admin.lpush("site.north", json.dumps({**recorded, "body": base64.b64encode(sealed).decode()}))
    deployed.wait_for_line("north", "is dropped: it is not sealed and signed by the coordinator")


@pytest.mark.parametrize(("queue", "receiver"), [("site.north", "north"), ("aggregate", "coordinator")])
def test_a_recorded_order_does_not_run_again_nor_at_another_site(
    deployed: Deployed, queue: str, receiver: str
) -> None:
    """The operator of Redis makes the board expect an order that he has recorded, and sends it again."""
    recorded = deployed.sent_to(queue)[0]
    order, board = deployed.order(recorded, receiver), deployed.admin
    board.set("dt:run:first:session", order["session"])
    board.hset(f"dt:run:first:{order['session']}:attempts", order["job"], order["attempt"])
    board.lpush(queue, json.dumps(recorded))
    deployed.wait_for_line(receiver, "it is a replay")
    board.lpush("site.south", json.dumps(recorded))
    deployed.wait_for_line("south", "is dropped: it is not sealed and signed by the coordinator")
    board.delete("dt:run:first:session", f"dt:run:first:{order['session']}:attempts")
    assert (deployed.folder / "coordinator/models/first/best.keras").exists()  # the first order is `start`


def test_a_site_that_speaks_for_others_changes_nothing(deployed: Deployed) -> None:
    hub, south = deployed.client("coordinator"), deployed.client("south")
    (true,) = [value for value in hub.mget(list(hub.scan_iter("dt:worker:north/*"))) if value]
    south.set("dt:worker:south/false", true, ex=300)  # it claims to be north
    stranger = true.replace(b"north", b"ghost")  # of no member, from the operator of Redis
    deployed.admin.set("dt:worker:ghost/w-ghost", stranger, ex=300)
    done = deployed.train("disturbed", "--epochs", "1")
    south.delete("dt:worker:south/false")
    deployed.admin.delete("dt:worker:ghost/w-ghost")
    assert done.returncode == 0, done.stdout + done.stderr + deployed.logs()
    assert "the heartbeat of ghost/w-ghost is ignored: ghost is not in the members.json" in done.stdout
    assert "the heartbeat of south/false is ignored" in done.stdout
    clients = pd.read_csv(deployed.folder / "coordinator/metrics/disturbed/clients.csv")
    assert set(clients["status"]) == {"ok"}
