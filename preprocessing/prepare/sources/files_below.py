"""The files in a folder of images."""

import os
from pathlib import Path


def files_below(root: Path) -> list[Path]:
    """Return the files in a folder at any depth, sorted. Links to folders are followed, to each folder once.

    Hidden files and folders are skipped: thumbnails, and `._image.png`, which macOS writes next to images
    that are copied to other disks.
    """
    files: list[Path] = []
    visited: set[str] = set()
    for place, folders, names in os.walk(root, followlinks=True):
        if (real := os.path.realpath(place)) in visited:
            folders.clear()
            continue
        visited.add(real)
        shown = [name for name in folders if not name.startswith(".")]
        folders[:] = sorted(shown, key=lambda name: (Path(place, name).is_symlink(), name))
        files += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(file for file in files if file.is_file())
