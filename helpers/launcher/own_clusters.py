"""Addresses of the Redis servers that commands of this checkout use at present, so that others find them."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from helpers.cluster.versions import ROOT
from helpers.launcher.embedded_redis import DATA_DIR

FOLDER = ROOT / DATA_DIR / "in-use"


@contextlib.contextmanager
def announced(url: str, folder: Path = FOLDER) -> Iterator[None]:
    """Announce an address, which has no password, inside this context."""
    file = folder / f"{os.getpid()}.txt"
    with contextlib.suppress(OSError):  # a checkout that cannot be written: the others need REDIS_URL
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(url)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            file.unlink()


def own_addresses(folder: Path = FOLDER) -> list[str]:
    """Return the announced addresses, the newest first; that of a killed command may be among them."""
    addresses = []
    with contextlib.suppress(OSError):
        files = sorted(folder.glob("*.txt"), key=lambda file: file.stat().st_mtime, reverse=True)
        addresses = [file.read_text() for file in files]
    return list(dict.fromkeys(addresses))
