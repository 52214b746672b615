"""Weight store in a folder that all workers of a run share."""

import contextlib
import mmap
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from helpers.settings.errors import ConfigError
from helpers.weight_store.codec import LIFETIME_S, Buffers, Digest, StoreError

WHOLE, UNFINISHED = ".weights", ".unfinished"


class FileStore:
    """Blobs as files, read by mapping them into memory without a copy.

    Reading a file renews its modification time. Files not used for LIFETIME_S are deleted when a store
    on the folder is opened.

    Args:
        folder: in memory (`/dev/shm`), on a disk or on a network file system; created with access for its
            owner alone if missing.

    Raises:
        ConfigError: the folder cannot be made, read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep()
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise ConfigError(
                f"WEIGHT_STORE: the folder {folder} cannot be used ({error.strerror}); set a folder that "
                "this user can write, or redis"
            ) from None

    def put(self, key: str, data: Buffers) -> None:
        try:
            descriptor, temporary = tempfile.mkstemp(suffix=UNFINISHED, dir=self._folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.writelines(data)
                Path(temporary).replace(self._path(key))
            except BaseException:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()
                raise
        except OSError as error:
            raise StoreError(
                f"{key}: not stored in {self._folder}: {error.strerror}; fix that, or start every worker "
                "with DT_WEIGHT_STORE=redis"
            ) from error

    def get(self, key: str, limit: int, digest: Digest | None = None) -> memoryview:
        path = self._path(key)
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_size > limit:
                    raise StoreError(f"{key}: more bytes than the {limit} expected")
                os.utime(path)  # renews its lifetime
                data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except FileNotFoundError:
            raise StoreError(
                f"{key}: not in the store {self._folder} (kept for {LIFETIME_S} s after the last use; all "
                "workers of a run need the same WEIGHT_STORE)"
            ) from None
        except (OSError, ValueError) as error:  # ValueError: an empty file
            raise StoreError(f"{key}: not read from {self._folder}: {error}") from error
        if digest is not None:
            digest.add([data])
        return data

    def delete(self, keys: Sequence[str]) -> None:
        try:
            for key in keys:
                self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"keys not deleted from {self._folder}: {error.strerror}") from error

    def delete_others(self, prefix: str, own: str) -> None:
        for file in self._folder.iterdir():
            if file.name.startswith(_quoted(prefix)) and not file.name.startswith(_quoted(own)):
                with contextlib.suppress(OSError):  # it expires
                    file.unlink()

    def _path(self, key: str) -> Path:
        return self._folder / (_quoted(key) + WHOLE)

    def _sweep(self) -> None:
        oldest = time.time() - LIFETIME_S
        for file in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another worker may sweep at the same time
                if file.suffix in (WHOLE, UNFINISHED) and file.stat().st_mtime < oldest:
                    file.unlink()


def _quoted(key: str) -> str:
    """Return a key as the name of a file: only letters, digits and `_.-~%`, so it stays in the folder."""
    return quote(key.encode(errors="surrogatepass"), safe="")
