"""Audit log of a site: one line of JSON per order, only ever appended to."""

import hashlib
import itertools
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from helpers.federated.messages import Order
from helpers.federated.sites.secure_messages import STEPS
from helpers.weight_store.codec import Buffers, Digest
from helpers.weight_store.store import WeightStore

FILE = "audit.jsonl"
COLUMNS = ("time", "sender", "run", "job", "attempt", "settings", "decision", "bytes_out", "epsilon")
"""Fields of an entry. That of an order that cannot be read has only `time` and `decision`, and only those of
private trainings have `epsilon`, what all runs have spent of the privacy of the site's images."""
DONE, FAILED, REFUSED = "done", "failed", "refused"
"""Decisions; a reason follows the last two."""
STEP_JOBS = tuple(f"{kind.step}:" for kind in STEPS)
"""Beginnings of the jobs of steps of secure aggregation."""
LONGEST = 500
"""Longest text of an entry, letters: senders choose it."""


class CountingStore:
    """A weight store that counts the bytes put into it.

    Args:
        store: does the work.
    """

    def __init__(self, store: WeightStore) -> None:
        self._store = store
        self.bytes_out = 0

    def put(self, key: str, data: Buffers) -> None:
        self.bytes_out += sum(map(len, data))
        self._store.put(key, data)

    def get(self, key: str, limit: int, digest: Digest | None = None) -> bytes | memoryview:
        return self._store.get(key, limit, digest)

    def delete(self, keys: Sequence[str]) -> None:
        self._store.delete(keys)

    def delete_others(self, prefix: str, own: str) -> None:
        self._store.delete_others(prefix, own)


class AuditLog:
    """The log of a site.

    Args:
        folder: of the site's own files; it is made with the first entry.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE

    def append(self, entry: dict[str, Any]) -> None:
        """Append an entry and wait until it is on disk.

        Raises:
            OSError: it cannot be written, or only in part.
        """
        timed = {"time": _text(datetime.now(UTC)), **entry}
        line = json.dumps({name: _cut(value) for name, value in timed.items()}).encode() + b"\n"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.fstat(handle).st_size:
                os.lseek(handle, -1, os.SEEK_END)
                if os.read(handle, 1) != b"\n":  # a crash cut the last line off
                    line = b"\n" + line
            if os.write(handle, line) < len(line):
                raise OSError(f"{self.file}: an entry was written in part only; is its disk full?")
            os.fsync(handle)
        finally:
            os.close(handle)

    def entries(self) -> list[dict[str, Any]]:
        """Return the entries so far, oldest first; lines that a crash cut off are left out."""
        return [entry for entry in self._lines() if entry is not None]

    def _lines(self) -> list[dict[str, Any] | None]:
        """Return an entry for each line, None where it cannot be read."""
        if not self.file.exists():
            return []
        return [_entry(line) for line in self.file.read_bytes().splitlines()]

    def count_served(self, period: timedelta) -> int:
        """Return how many orders the site has carried out in a period until now, also without success.

        Steps of secure aggregation do not count, as each belongs to a training. A line that cannot be read
        counts, as it may have been such an order.
        """
        since = _text(datetime.now(UTC) - period)
        recent = itertools.takewhile(
            lambda entry: entry is None or entry["time"] >= since, self._lines()[::-1]
        )
        return sum(entry is None or _is_served(entry) for entry in recent)


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _is_served(entry: dict[str, Any]) -> bool:
    return not entry["decision"].startswith(REFUSED) and not entry["job"].startswith(STEP_JOBS)


def settings_digest(order: Order) -> str:
    """Return 12 hex digits that stand for the settings of an order: equal ones have equal digits."""
    return hashlib.sha256(json.dumps(order.settings, sort_keys=True).encode()).hexdigest()[:12]


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _cut(value: Any) -> Any:
    return value[:LONGEST] if isinstance(value, str) else value
