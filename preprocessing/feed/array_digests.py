"""The sha256 of each array file, which manifest.json holds: a changed array does not go unnoticed."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from preprocessing.errors import COMMAND, PreprocessingError

_known: dict[Path, tuple[int, int, str]] = {}
"""Size, time of the last change and digest of the files read by this process."""


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_arrays(folder: Path, digests: Mapping[str, str]) -> None:
    """Check the arrays of a folder; a file is read again only if its size or time has changed.

    Args:
        folder: folder of the arrays.
        digests: sha256 by file name; empty in manifests of earlier versions.

    Raises:
        PreprocessingError: a file is missing or is not the one that was prepared.
    """
    for name, expected in digests.items():
        path = folder / name
        try:
            status = path.stat()
            size, changed_ns, digest = _known.get(path, (-1, -1, ""))
            if (size, changed_ns) != (status.st_size, status.st_mtime_ns):
                digest = file_digest(path)
                _known[path] = (status.st_size, status.st_mtime_ns, digest)
        except OSError as error:
            raise PreprocessingError(
                f"{path}: {error.strerror}; prepare the images again: {COMMAND}"
            ) from None
        if digest != expected:
            raise PreprocessingError(
                f"{path}: its sha256 differs from the one in manifest.json; copy the whole folder again, or "
                f"prepare the images again: {COMMAND}"
            )
