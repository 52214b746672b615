"""Rounds of provisioned sites (signed orders and replies, sealed updates, TLS) against plain ones."""

import contextlib
import itertools
import shutil
import socket
import subprocess
import time
from pathlib import Path

from benchmarks.pipeline import Pipeline, without_settings
from benchmarks.records import Record
from benchmarks.secure import PLAIN, compare, print_nothing
from benchmarks.synthetic_data import write_prepared
from benchmarks.turns import in_turn
from benchmarks.watching import CommandFailed
from commands import provision
from helpers.cluster.connection import connect
from helpers.launcher.child_processes import start_apart
from helpers.launcher.embedded_redis import RedisServer
from helpers.launcher.worker_processes import WorkerProcesses, worker_environment

SITES = ("north", "south", "west")
KEYS = "provisioned"


class ProvisionedPipeline(Pipeline):
    """Redis with TLS and a user per member, an averaging worker and sites, by `run.py provision`.

    Args:
        folder: for everything; made here.
        prepared: images of every site.
    """

    def __init__(self, folder: Path, prepared: Path) -> None:
        self._folder, self._runs = folder, itertools.count(1)
        provision.main(["--sites", ",".join(SITES), "--port", str(free_port()), "--out", str(folder)])
        places = {
            "DT_PREPROCESSED_DIR": str(prepared), "DT_METRICS_DIR": str(folder / "metrics"),
            "DT_MODELS_DIR": str(folder / "models"), "DT_THREADS": "1",
        }  # fmt: skip
        self.environment = member_environment(folder / "coordinator") | places
        with (folder / "server/users.acl").open("a") as users:  # who may read the server's counters
            users.write("user meter on >meter ~* &* +@all\n")
        with contextlib.ExitStack() as stack:
            url = f"rediss://meter:meter@{self.environment['REDIS_URL'].partition('@')[2]}"
            with (folder / "server/log").open("wb") as log:
                command = f'cd "{folder / "server"}" && exec redis-server redis.conf'
                self._server = RedisServer(url, start_apart(["sh", "-c", command], log))
            stack.enter_context(self._server)
            while "Ready to accept connections" not in (folder / "server/log").read_text():
                if self._server.process is None or self._server.process.poll() is not None:
                    raise CommandFailed((folder / "server/log").read_text())
                time.sleep(0.05)
            self.client = connect(url)
            members = {"averaging": self.environment}
            members |= {site: member_environment(folder / "sites" / site) | places for site in SITES}
            for name, environment in members.items():
                workers = stack.enter_context(WorkerProcesses([name], environment, print_nothing))
                workers.wait_until_ready(self.client)
            self.close = stack.pop_all().close


def member_environment(place: Path) -> dict[str, str]:
    """Return the environment of a member, from its file."""
    (file,) = place.glob("*.env")
    start = without_settings(worker_environment("", 1)) | {"DT_DEPLOYMENT": str(place)}
    command = ["sh", "-c", f'. "{file}" && env -0']
    done = subprocess.run(command, env=start, check=True, capture_output=True, text=True)
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)


def free_port() -> int:
    """Return a port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure(record: Record, folder: Path, quick: bool) -> None:
    """Measure steady rounds of three sites with few images, so that the keys have the largest share."""
    if shutil.which("redis-server") is None:
        record.note(
            "left out: redis-server with TLS is not on PATH (on Debian: apt-get install redis-server)"
        )
        return
    side, turns = (32, 1) if quick else (128, 3)
    write_prepared(folder / "prepared", 20, 8, (side, side))
    options = ["--data-at", "sites", "--min-clients", "3", "--epochs", "4", "--input-shape", f"{side},{side}"]
    record.progress("starting two times four workers")
    own = {"DT_THREADS": "1", "DT_SITE_DIR": str(folder / "sites")}
    with contextlib.ExitStack() as stack:
        plain = Pipeline(folder / "plain", folder / "prepared", 1, all_in_redis=True, more=own)
        stack.enter_context(plain)
        for site in SITES:
            environment = plain.environment | {"DT_SITE": site}
            workers = stack.enter_context(WorkerProcesses([site], environment, print_nothing))
            workers.wait_until_ready(plain.client)
        keys = stack.enter_context(ProvisionedPipeline(folder / "keys", folder / "prepared"))
        contenders = {
            PLAIN: lambda: plain.train(*options)[1:],
            KEYS: lambda: keys.train(*options)[1:],
        }
        turned = in_turn(contenders, turns)
    what = f"steady round of three sites, 28 images of {side}×{side}"
    compare(record, turned, PLAIN, KEYS, what, "s", None, lambda one: one["seconds"])
    compare(record, turned, PLAIN, KEYS, f"processor time of a {what}", "s", None, lambda one: one["cpu"])
    traffic = f"traffic of a {what}"
    compare(record, turned, PLAIN, KEYS, traffic, "MB", None, lambda one: (one["in"] + one["out"]) / 1e6)
