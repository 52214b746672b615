"""The web page of `run.py watch`: a few files, and a stream of server-sent events."""

import ipaddress
import json
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from helpers.cluster.connection import address
from helpers.cluster.errors import ClusterError
from helpers.cluster.mailbox import OPEN_LETTERS, Envelopes
from helpers.cluster.refusals import translating
from helpers.monitoring.run_view import RunView
from helpers.reporting.page import TEMPLATES
from helpers.settings.errors import UserError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

FILES = {
    "/": ("watch.html", "text/html"),
    "/watch.js": ("watch.js", "text/javascript"),
    "/watch.css": ("watch.css", "text/css"),
    "/style.css": ("style.css", "text/css"),
}
EVENTS = "/events"
MOST_STREAMS = 32
"""Number of pages that are open at the same time; each has a thread."""
INTERVAL_S = 1.0
"""Time between two looks at the run, seconds."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Of every answer: the page runs its own script only, and no other site can embed or read it."""


class WatchPage:
    """The page as a WSGI application. It only reads.

    Args:
        client: connection to Redis.
        run: name of the run.
        host_names: names of this machine under which the page may be opened, next to localhost.
        envelopes: open the run's feed.
    """

    def __init__(
        self, client: Any, run: str, host_names: Iterable[str] = (), envelopes: Envelopes = OPEN_LETTERS
    ) -> None:
        self._client = client
        self._envelopes = envelopes
        self._run = run
        self._free_streams = threading.BoundedSemaphore(MOST_STREAMS)
        self._host_names = {"localhost", *(name.lower() for name in host_names)}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        response = self._answer(Request(environ))
        response.headers.extend(HEADERS)
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if not self.is_ours(request.headers.get("Host", "")):
            return Response("open the page as localhost or by the address of this machine\n", 403)
        if request.method not in ("GET", "HEAD"):
            return Response("only GET\n", 405)
        if request.path == EVENTS:
            if not self._free_streams.acquire(blocking=False):
                return Response(f"{MOST_STREAMS} pages are open already; close one\n", 503)
            response = Response(self.events(), mimetype="text/event-stream")
            response.call_on_close(self._free_streams.release)
            return response
        if request.path not in FILES:
            return Response("not found\n", 404)
        name, kind = FILES[request.path]
        return Response((TEMPLATES / name).read_bytes(), content_type=f"{kind}; charset=utf-8")

    def is_ours(self, host: str) -> bool:
        """Return whether a Host header names this machine.

        A page of another site can make its own name lead to this machine (DNS rebinding) and would then be
        allowed to read ours. It cannot do so with an address.
        """
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return name.lower() in self._host_names
        return True

    def events(self) -> Iterator[str]:
        """Yield the view of the run about once a second; the first one has all that happened before."""
        view = RunView(self._client, self._run, self._envelopes)
        while True:
            try:
                with translating(address(self._client)):
                    seen = view.look()
            except (ClusterError, UserError) as error:
                seen = {"run": self._run, "state": "away", "text": str(error), "workers": [], "log": []}
            yield f"data: {json.dumps(seen)}\n\n"
            time.sleep(INTERVAL_S)
