"""A provisioned deployment whose sites have a network namespace each: they reach Redis, and nothing else."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from helpers.launcher import worker_processes
from tests.integration.test_deployment import SITES, Deployed, running

REDIS = "10.231.0.1"
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 22), 5)"


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def namespace(site: str) -> str:
    return f"dt{os.getpid()}-{site}"


def address(site: str) -> str:
    return f"10.231.{[*SITES].index(site) + 1}.2"


@pytest.fixture
def namespaces() -> Iterator[None]:
    """A namespace of each site, with one route: to the address of Redis in this namespace."""
    if shutil.which("ip") is None:
        pytest.skip("needs ip on PATH (on Debian: apt-get install iproute2)")
    with contextlib.ExitStack() as stack:
        try:
            for site in SITES:
                ip("netns", "add", namespace(site))
                stack.callback(ip, "netns", "del", namespace(site))
            ip("address", "add", f"{REDIS}/32", "dev", "lo")
            stack.callback(ip, "address", "del", f"{REDIS}/32", "dev", "lo")
            for number, site in enumerate(SITES, 1):
                name, inside = namespace(site), ("-n", namespace(site))
                here, there = f"dt{number}-{os.getpid()}", "up0"
                ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
                ip("address", "add", f"10.231.{number}.1/30", "dev", here)
                ip("link", "set", here, "up")
                ip(*inside, "address", "add", f"{address(site)}/30", "dev", there)
                ip(*inside, "link", "set", there, "up")
                ip(*inside, "link", "set", "lo", "up")
                ip(*inside, "route", "add", f"{REDIS}/32", "via", f"10.231.{number}.1")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
        yield


class Apart(Deployed):
    """A deployment whose sites' workers run in the namespaces."""

    def start_worker(self, member: str) -> None:
        command = worker_processes.worker_command

        def inside(name: str, app: str) -> list[str]:
            return ["ip", "netns", "exec", namespace(member), *command(name, app)]

        with pytest.MonkeyPatch.context() as patch:
            if member in SITES:
                patch.setattr(worker_processes, "worker_command", inside)
            super().start_worker(member)


@pytest.mark.long
def test_sites_that_reach_nothing_but_redis_train_together(namespaces: None, tmp_path: Path) -> None:
    with running(Apart(tmp_path), host=REDIS) as deployed:
        done = deployed.train("apart", "--epochs", "2", "--secure-aggregation", "true")
        assert done.returncode == 0, done.stdout + done.stderr + deployed.logs()
        clients = pd.read_csv(tmp_path / "coordinator/metrics/apart/clients.csv")
        assert clients["site"].tolist() == sorted(SITES) * 2
        assert set(clients["status"]) == {"ok"}
        assert deployed.denied() == []
        for site, other in (("north", "south"), ("south", "east")):
            command = ["ip", "netns", "exec", namespace(site), sys.executable, "-c", CONNECT, address(other)]
            failed = subprocess.run(command, capture_output=True, text=True, check=False)
            assert "Network is unreachable" in failed.stderr
