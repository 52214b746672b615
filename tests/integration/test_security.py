"""Redis over TLS with certificates and an ACL user, and messages that must not be believed."""

import contextlib
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from kombu import Connection

from helpers.cluster.connection import connect
from helpers.cluster.versions import ROOT
from helpers.federated.messages import StartOrder
from helpers.launcher.child_processes import start_apart, stop_all
from helpers.launcher.worker_processes import WorkerProcesses, worker_command
from tests.integration.conftest import SMALL, Cluster, log_to

PASSWORD = "hush/7f3a@1c:9e"
ADMIN_PASSWORD = "only-the-test-knows"

# As in docs/security.md; the admin is there so that this test can ask what was denied.
SERVER = """\
bind 127.0.0.1
port 0
tls-port {port}
tls-cert-file {folder}/server.crt
tls-key-file {folder}/server.key
tls-ca-cert-file {folder}/ca.crt
tls-auth-clients optional
aclfile {folder}/users.acl
dir {folder}
appendonly yes
save ""
"""
USERS = f"""\
user default off
user trainer on >{PASSWORD} ~* &* +@all -@admin -@dangerous
user admin on >{ADMIN_PASSWORD} ~* &* +@all
"""
CERTIFICATES = """\
for ca in ca other-ca; do
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$ca" -keyout $ca.key -out $ca.crt
done
printf 'subjectAltName=IP:127.0.0.1' > names
for name in server client; do
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout $name.key -out $name.csr
    openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names \\
        -out $name.crt
done
"""


@dataclass
class Secure:
    """A Redis that speaks TLS alone and lets in one user, with a worker of ours.

    Attributes:
        folder: certificates, logs and data of the server.
        port: where it listens.
        environment: of its workers, without the address.
        log: what the worker printed.
    """

    folder: Path
    port: int
    environment: dict[str, str]
    log: Path

    def url(
        self, password: str = PASSWORD, ca: str = "ca", user: str = "trainer", certificate: bool = False
    ) -> str:
        place = f"rediss://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/0"
        url = f"{place}?ssl_cert_reqs=required&ssl_ca_certs={self.folder}/{ca}.crt"
        if certificate:
            url += f"&ssl_certfile={self.folder}/client.crt&ssl_keyfile={self.folder}/client.key"
        return url

    @property
    def admin(self) -> redis.Redis:
        return connect(self.url(ADMIN_PASSWORD, user="admin"))

    def run(self, *command: str, url: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, making sure that it shows the password to no other user."""
        with subprocess.Popen(
            command,
            cwd=ROOT, env=self.environment | {"REDIS_URL": url},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            time.sleep(0.5)
            assert not shows_password(command_lines())
            output, errors = process.communicate(timeout=240)
        assert not shows_password(output + errors)
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def train(self, run: str, url: str) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "distributed_training_index.py", *SMALL, "--run", run, "--epochs", "1")
        return self.run(*command, "--num-workers", "2", "--worker-timeout-s", "20", url=url)


def shows_password(text: str) -> bool:
    return PASSWORD in text or quote(PASSWORD, safe="") in text


def command_lines() -> str:
    """What `ps` shows of every process."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            lines.append((process / "cmdline").read_text(errors="replace"))
    return "\n".join(lines)


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    binary = shutil.which("redis-server")
    if binary is None or shutil.which("openssl") is None:
        pytest.skip(
            "needs redis-server and openssl on PATH (on Debian: apt-get install redis-server openssl)"
        )
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["sh", "-ec", CERTIFICATES], cwd=folder, check=True, capture_output=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "redis.conf").write_text(SERVER.format(port=port, folder=folder))
    (folder / "users.acl").write_text(USERS)
    log = folder / "server.log"
    with log.open("wb") as output:
        process = start_apart([binary, str(folder / "redis.conf")], output)
    try:
        while "Ready to accept connections" not in log.read_text():
            if process.poll() is not None:
                assert "tls" in log.read_text(), log.read_text()
                pytest.skip(f"{binary} was built without TLS")
            time.sleep(0.05)
        yield folder, port
    finally:
        stop_all([process])


@pytest.fixture(scope="module")
def secure(tls_server: tuple[Path, int], cluster: Cluster) -> Iterator[Secure]:
    folder, port = tls_server
    own = {"DT_METRICS_DIR": str(folder / "metrics"), "DT_MODELS_DIR": str(folder / "models")}
    secure = Secure(folder, port, cluster.environment | own, folder / "worker.log")
    url = secure.url(certificate=True)
    with WorkerProcesses(["secure"], secure.environment | {"REDIS_URL": url}, log_to(secure.log)) as workers:
        workers.wait_until_ready(secure.admin)
        yield secure


def denied_to_trainer(secure: Secure) -> list[str]:
    return [entry["object"] for entry in secure.admin.acl_log() if entry["username"] == "trainer"]


def test_a_training_over_tls_as_a_user_without_power(secure: Secure) -> None:
    done = secure.train("tls", secure.url())
    assert done.returncode == 0, done.stdout + done.stderr
    assert (secure.folder / "models/tls/best.keras").exists()
    assert denied_to_trainer(secure) == []
    with pytest.raises(redis.exceptions.NoPermissionError):
        connect(secure.url()).flushall()
    texts = {file: file.read_bytes() for file in secure.folder.rglob("*") if file.is_file()}
    assert {secure.log, secure.folder / "models/tls/state.json"} <= texts.keys()
    found = [file.name for file, text in texts.items() if shows_password(text.decode(errors="replace"))]
    assert found == ["users.acl"]


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_messages_that_are_not_json_are_refused_and_the_worker_goes_on(secure: Secure) -> None:
    victim = secure.folder / "executed"
    bodies = [
        ("application/x-python-serialize", "binary", pickle.dumps(([Payload(victim)], {}, None))),
        ("application/x-yaml", "utf-8", f"!!python/object/apply:os.mkdir ['{victim}']"),
        ("application/json", "utf-8", "[[{" * 10),
        ("application/json", "utf-8", "[" * 200_000),
        ("text/plain", "utf-8", "hello"),
    ]
    with Connection(secure.url()) as connection, connection.Producer() as producer:
        for kind, encoding, body in bodies:
            headers = {"id": "1", "task": "tasks.train", "lang": "py"}
            producer.publish(
                body, content_type=kind, content_encoding=encoding, headers=headers, routing_key="train",
                exchange="train",
            )  # fmt: skip
        facts = {"run": "../../elsewhere", "session": "s", "settings": {}, "data_digest": "", "versions": {}}
        headers = {"id": "2", "task": "tasks.start_run", "lang": "py"}
        order = StartOrder(**facts, attempt=0, resume=False).to_message()
        producer.publish([[order], {}, {}], headers=headers, exchange="train", routing_key="train")
    done = secure.train("after", secure.url())
    assert done.returncode == 0, done.stdout + done.stderr + secure.log.read_text()
    assert not victim.exists()
    log = secure.log.read_text()
    for kind in ("python-serialize", "x-yaml", "text/plain"):
        assert re.search(f"is dropped: its content-type is .*{kind}", log)
    assert "is not a run's name" in log


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"password": "wrong"}, "invalid username-password pair"),
        ({"ca": "other-ca"}, "certificate verify failed"),
    ],
)
def test_who_is_not_let_in_is_told_in_one_line(secure: Secure, options: dict[str, str], reason: str) -> None:
    url = secure.url(**options)
    done = secure.train("refused", url)
    assert done.returncode == 2
    worker = secure.run(*worker_command("refused"), url=url)
    assert worker.returncode != 0
    for errors in (done.stderr, worker.stderr):
        (line,) = [line for line in errors.splitlines() if "REDIS_URL" in line]
        assert f"access denied by Redis at 127.0.0.1:{secure.port}" in line
        assert reason in line
        assert "Traceback" not in errors


def test_without_the_certificate_that_the_server_asks_for(secure: Secure) -> None:
    admin = secure.admin
    admin.config_set("tls-auth-clients", "yes")
    try:
        done = secure.train("refused", secure.url())
        assert connect(secure.url(certificate=True)).ping()
    finally:
        admin.config_set("tls-auth-clients", "optional")
    assert done.returncode == 3
    assert "do the certificates fit?" in done.stderr
