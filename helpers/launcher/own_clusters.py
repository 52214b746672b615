"""Addresses of the Redis servers that commands of this checkout use at present, so that others find them."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from helpers.cluster.connection import redact
from helpers.cluster.versions import ROOT
from helpers.launcher.embedded_redis import DATA_DIR, SCHEME

FOLDER = ROOT / DATA_DIR / "in-use"


@contextlib.contextmanager
def announced(url: str, models_dir: Path | None = None, folder: Path | None = None) -> Iterator[None]:
    """Announce an address inside this context, unless it has a password.

    Args:
        url: the address.
        models_dir: MODELS_DIR of a command that trains.
        folder: of all announcements; None for that of this checkout.
    """
    folder = folder or FOLDER
    file = folder / f"{socket.gethostname()}-{os.getpid()}.txt"
    with contextlib.suppress(OSError):  # a checkout that cannot be written: the others need REDIS_URL
        if redact(url) == url:
            folder.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{url}\n{models_dir.absolute() if models_dir else ''}")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            file.unlink()


def _forget_killed(folder: Path) -> None:
    """Delete what killed commands of this machine have left."""
    if os.name == "posix":
        for file in folder.glob(f"{socket.gethostname()}-*.txt"):
            try:
                os.kill(int(file.stem.rpartition("-")[2]), 0)
            except ProcessLookupError:
                file.unlink(missing_ok=True)
            except (PermissionError, ValueError):
                pass


def own_addresses(models_dir: Path | None = None, folder: Path | None = None) -> list[str]:
    """Return the announced addresses, the newest first; with `models_dir` those of trainings that use it.

    That of a killed command of another machine may be among them.
    """
    folder, announcements = folder or FOLDER, []
    with contextlib.suppress(OSError):
        _forget_killed(folder)
        files = sorted(folder.glob("*.txt"), key=lambda file: file.stat().st_mtime, reverse=True)
        announcements = [file.read_text().partition("\n")[::2] for file in files]
    urls = [url for url, place in announcements if models_dir is None or place == str(models_dir.absolute())]
    return [url for url in dict.fromkeys(urls) if url.startswith(SCHEME)]
