"""The page of `run.py watch`: what it serves, to whom, and what it sends of a run."""

import json
import re
import shutil
import subprocess
from typing import Any

import fakeredis
import pytest
from werkzeug.test import Client, TestResponse

from commands.watch_page import FILES, MOST_STREAMS, WatchPage
from helpers.cluster.job_board import JobBoard
from helpers.cluster.run_feed import RunFeed
from helpers.reporting.page import TEMPLATES


@pytest.fixture
def server() -> fakeredis.FakeServer:
    return fakeredis.FakeServer()


@pytest.fixture
def page(server: fakeredis.FakeServer) -> WatchPage:
    client = fakeredis.FakeRedis.from_url("redis://127.0.0.1:6379/0", server=server)
    JobBoard(client, "first", "s").take_over(force=True)
    RunFeed(client, "first").add("notice", text="</script>\n\ndata: {}")
    return WatchPage(client, "first", ["Host.example"])


def get(page: WatchPage, path: str, **options: Any) -> TestResponse:
    return Client(page).open(path, **options)


@pytest.mark.parametrize("path", FILES)
def test_files_are_served_with_a_policy_that_runs_nothing_else(page, path):
    answer = get(page, path)
    assert (answer.status_code, answer.data) == (200, (TEMPLATES / FILES[path][0]).read_bytes())
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_the_page_has_no_script_or_style_of_its_own_and_sets_no_markup():
    html, script = ((TEMPLATES / name).read_text() for name in ("watch.html", "watch.js"))
    assert not re.search(r"<script>|<style|style=|\son\w+=", html)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)
    needed = set(re.findall(r'byId\("([\w-]+)"\)', script))
    assert needed <= set(re.findall(r'id="([\w-]+)"', html))


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_a_start_drops_the_rounds_after_it():
    """A run that replaces one of its name begins without rounds; a resumed one keeps the ones before."""
    script = (TEMPLATES / "watch.js").read_text()
    (take,) = re.findall(r"^function take\(.*?^}$", script, re.DOTALL | re.MULTILINE)
    program = f"""
        let rounds = new Map(), planned = 0, current = 0, clients = 0, bestRound = 0;
        const addLine = () => undefined, number = String, seen = [];
        {take}
        const start = (round) => take({{ event: "started", round, rounds: 3 }});
        const end = (round) => take({{ event: "round", round, best_round: round }});
        const look = () => seen.push([...rounds.keys(), `best ${{bestRound}}`]);
        start(0); end(1); end(2); end(3); look();
        start(1); look();
        end(2); look();
        start(0); look();
        take({{ event: "round", round: 9, best_round: 5, rounds: 12 }});  // the feed begins here
        seen.push([planned, bestRound]);
        console.log(JSON.stringify(seen));
    """
    done = subprocess.run(["node", "-e", program], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == [
        [1, 2, 3, "best 3"],
        [1, "best 1"],
        [1, 2, "best 2"],
        ["best 0"],
        [12, 5],
    ]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8765", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1:9000", 200),
        ("[::1]:8765", 200),
        ("10.0.0.5", 200),
        ("host.example:1", 200),
        ("evil.example", 403),
        ("localhost.evil.example:8765", 403),
        ("127.0.0.1.evil.example", 403),
        ("host.example.evil:80", 403),
        ("evil.example@127.0.0.1", 403),
        ("", 403),
    ],
)
def test_names_that_others_can_point_here_are_refused(page, host, status):
    for path in ("/", "/events"):
        answer = Client(page).get(path, headers={"Host": host}, buffered=False)
        assert answer.status_code == status
        assert "Content-Security-Policy" in answer.headers
        answer.close()


def test_more_pages_than_the_machine_should_serve_are_refused(page, monkeypatch):
    first, *others = [get(page, "/events", buffered=False) for _ in range(MOST_STREAMS)]
    assert {answer.status_code for answer in (first, *others)} == {200}
    refused = get(page, "/events")
    assert (refused.status_code, refused.text) == (503, "32 pages are open already; close one\n")
    assert get(page, "/").status_code == 200
    first.close()
    again = get(page, "/events", buffered=False)
    assert again.status_code == 200
    for answer in (*others, again):
        answer.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/", 405),
        ("DELETE", "/events", 405),
        ("GET", "/report.html", 404),
        ("GET", "/../run.py", 404),
    ],
)
def test_nothing_else_is_served(page, method, path, status):
    assert get(page, path, method=method).status_code == status


def test_events_hold_one_line_of_json_each_and_go_on_without_redis(page, server, monkeypatch):
    monkeypatch.setattr("commands.watch_page.INTERVAL_S", 0)
    events = page.events()
    first = next(events)
    assert first.startswith("data: ")
    assert first.endswith("\n\n")
    assert first.count("\n") == 2
    seen = json.loads(first.removeprefix("data: "))
    assert (seen["run"], seen["state"]) == ("first", "running")
    assert [entry["text"] for entry in seen["log"]] == ["</script>\n\ndata: {}"]

    server.connected = False
    away = json.loads(next(events).removeprefix("data: "))
    assert (away["state"], away["log"], away["workers"]) == ("away", [], [])
    assert away["text"].startswith("Redis at 127.0.0.1:6379 does not answer")
    server.connected = True
    back = json.loads(next(events).removeprefix("data: "))
    assert (back["state"], back["log"]) == ("running", [])
    restart = json.loads(next(page.events()).removeprefix("data: "))
    assert len(restart["log"]) == 1
