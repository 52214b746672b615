"""Feed of a run: a stream in Redis of what happened, for people who watch the run from another process."""

import contextlib
import json
import math
from collections import deque
from typing import Any

import redis

from helpers.cluster import keys
from helpers.cluster.mailbox import OPEN_LETTERS, Envelopes

MOST_ENTRIES = 2000
"""About this many entries are kept, the last ones."""
MOST_BYTES = 1 << 16
"""Largest entry that is read."""


class RunFeed:
    """The feed of one run.

    Args:
        client: connection to Redis.
        run: name of the run.
        envelopes: close and open its entries; in a deployment only the coordinator reads them.
    """

    def __init__(self, client: redis.Redis, run: str, envelopes: Envelopes = OPEN_LETTERS) -> None:
        self._client = client
        self._envelopes = envelopes
        self._key = keys.feed(run)
        self._unsent: deque[str] = deque(maxlen=MOST_ENTRIES)

    def add(self, event: str, **values: Any) -> None:
        """Append an event. What Redis does not accept is sent with the next one."""
        self._unsent.append(json.dumps({"event": event, **values}))
        with contextlib.suppress(redis.RedisError), self._client.pipeline() as pipe:
            for entry in self._unsent:
                letter = self._envelopes.close_letter(self._key, entry.encode())
                pipe.xadd(self._key, {"entry": letter}, maxlen=MOST_ENTRIES)
            pipe.expire(self._key, keys.LIFETIME_S)
            pipe.execute()
            self._unsent.clear()

    def began(self) -> int:
        """Return when the first entry was written, milliseconds on Redis' clock; 0 for an empty feed."""
        entries: Any = self._client.xrange(self._key, count=1)
        return _milliseconds(entries[0][0]) if entries else 0

    def read(self, after: str = "") -> tuple[list[dict[str, Any]], str]:
        """Return the entries after an id, each with its `time` in milliseconds, and the id of the last one.

        Entries that are no JSON table of bounded size are left out: anyone with access to Redis may have
        written them.
        """
        entries: Any = self._client.xrange(self._key, min=f"({after}" if after else "-")
        known = [
            values | {"time": _milliseconds(id_)}
            for id_, fields in entries
            if (values := self._opened(fields.get(b"entry", b""))) is not None
        ]
        return known, entries[-1][0].decode() if entries else after

    def _opened(self, letter: bytes) -> dict[str, Any] | None:
        """Return the table that an entry holds; None if it holds none."""
        try:
            text = self._envelopes.open_letter(self._key, letter)
            table = json.loads(text, parse_float=_finite, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            return None
        return table if isinstance(table, dict) and len(text) <= MOST_BYTES else None


def _milliseconds(id_: bytes) -> int:
    return int(id_.partition(b"-")[0])


def _finite(text: str) -> float | None:
    """Return a number that is JSON in every browser."""
    value = float(text)
    return value if math.isfinite(value) else None
