"""`run.py watch`: a web page on this machine that follows a run live."""

import ipaddress
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from commands.envelopes import envelopes_of
from commands.living_run import find_run
from helpers.cluster.connection import address
from helpers.cluster.mailbox import OPEN_LETTERS, Envelopes
from helpers.global_config import Config
from helpers.settings.command_line import ArgumentParser
from helpers.settings.errors import UserError

LOOPBACK = "127.0.0.1"
PORT = 8765
CONNECTION_S = 30
"""A connection is closed that sends or takes nothing for this long, seconds."""
NO_LOGIN = (
    "warning: the page has no login and no encryption. Everyone who reaches port {port} of this machine can "
    "read the numbers of the run, the names of workers and sites, and all notices"
)


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit status."""
    parser = ArgumentParser(
        prog="run.py watch",
        description="Follows a run live in the browser: workers, curves, notices. The run is found through "
        "Redis (REDIS_URL), so it may be on another machine.",
    )
    parser.add_argument("run", metavar="RUN", nargs="?", default="", help="name of the run [the newest one]")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help=f"port of the page [{PORT}]")
    parser.add_argument(
        "--host", default=LOOPBACK, metavar="ADDRESS",
        help=f"address of this machine at which the page is served; there is no login [{LOOPBACK}]",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    config = Config.load()
    client, run = find_run(config, options.run, also_ended=True)
    with closing(listen(options.host, options.port)) as listener:
        announce(client, run, options.host, listener.getsockname()[1])
        serve(client, run, options.host, listener, envelopes_of(config))
    return 0


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address of this machine.

    Raises:
        UserError: it is not one, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise UserError(f"--host {host} --port {port}: {reason}; choose others (port 0: any)") from None


def announce(client: Any, run: str, host: str, port: int) -> None:
    """Print where the page is and how to reach it from another machine; warn if others can reach it."""
    shown = f"[{host}]" if ":" in host else host
    print(f"Run {run} (Redis at {address(client)}): http://{shown}:{port}/")
    print("Ctrl-C ends this page, not the run.")
    if is_loopback(host):
        tunnel = f"ssh -N -L {port}:{shown}:{port} {socket.gethostname()}"
        print(f"From another machine: {tunnel}, then http://localhost:{port}/ there.")
    else:
        print(NO_LOGIN.format(port=port), file=sys.stderr)
    sys.stdout.flush()


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(
    client: Any, run: str, host: str, listener: socket.socket, envelopes: Envelopes = OPEN_LETTERS
) -> None:
    """Serve the page until Ctrl-C, each connection in a thread of its own."""
    from werkzeug.serving import WSGIRequestHandler, make_server

    from commands.watch_page import WatchPage

    class Quiet(WSGIRequestHandler):
        timeout = CONNECTION_S

        def log(self, type: str, message: str, *args: Any) -> None:
            """Print no line per request."""

    page = WatchPage(client, run, (host, socket.gethostname(), socket.getfqdn()), envelopes)
    server = make_server(
        host, listener.getsockname()[1], page, threaded=True, request_handler=Quiet, fd=listener.fileno()
    )
    server.serve_forever()
