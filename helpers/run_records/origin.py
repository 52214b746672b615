"""Origin of a run: when and on which machines it ran, and with which code and packages."""

import json
import subprocess
import time
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from helpers.run_records.files import RunFolders, write_whole

ROOT = Path(__file__).resolve().parents[2]
NO_REPOSITORY = "no repository"
GIT = ("git", "-c", "core.fsmonitor=false", "-C", str(ROOT))
"""Git in the folder of the project, without programs that its configuration may name."""
GIT_S = 30


def origin_of_run(
    folders: RunFolders, orchestrator: str, writer: str, workers: Iterable[str]
) -> dict[str, Any]:
    """Return what run.json says of the origin of a run. A resumed run keeps the time of its start.

    Args:
        folders: of the run.
        orchestrator: host and folder of its checkout, `host:/folder`.
        writer: name of the worker that writes the run's files.
        workers: names of all live workers.
    """
    return {
        "started_at": _recorded(folders).get("started_at") or now(),
        "hosts": {
            "orchestrator": orchestrator.partition(":")[0],
            "writer": host_of(writer),
            "workers": sorted({host_of(name) for name in workers}),
        },
        "git": commit_of(),
        "packages": dict(sorted((one.name, one.version) for one in distributions() if one.name)),
    }


def record_end(folders: RunFolders) -> None:
    """Write the time of the end of a run into run.json.

    Raises:
        RecordError: it could not be written.
    """
    facts = {**_recorded(folders), "ended_at": now()}
    write_whole(folders.metrics / "run.json", json.dumps(facts, indent=1, sort_keys=True).encode())


def has_ended(folders: RunFolders) -> bool:
    """Return whether a run was finished and has not been continued since."""
    return "ended_at" in _recorded(folders)


def now() -> str:
    """Return the time, UTC, as `2026-11-29T20:15:00Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def host_of(worker: str) -> str:
    """Return the host in the name of a worker; the whole name if it has none."""
    return worker.rpartition("@")[2]


def commit_of(git: tuple[str, ...] = GIT, root: Path = ROOT) -> dict[str, Any] | str:
    """Return the commit of a checkout, and whether files that it tracks differ from that commit.

    Returns:
        {commit, is_dirty}, or `no repository` where git does not know `root` as the top of one.
    """
    top = _output(git, "rev-parse", "--show-toplevel")
    commit = _output(git, "rev-parse", "HEAD")
    if not commit or not top or Path(top).resolve() != root.resolve():
        return NO_REPOSITORY
    return {"commit": commit, "is_dirty": _output(git, "status", "--porcelain", "--untracked-files=no") != ""}


def _output(git: tuple[str, ...], *arguments: str) -> str | None:
    """Return what git prints; None if it fails, is missing or hangs."""
    try:
        done = subprocess.run([*git, *arguments], capture_output=True, text=True, timeout=GIT_S, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()


def _recorded(folders: RunFolders) -> dict[str, Any]:
    """Return the content of run.json; empty without one that can be read."""
    try:
        facts = json.loads((folders.metrics / "run.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
