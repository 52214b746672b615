"""What has to be the same in every process of a run for its numbers to mean one thing."""

import contextlib
import functools
import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The repository."""

PACKAGES = {
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "keras": ("keras",),
    "numpy": ("numpy",),
    "albumentations": ("albumentations",),
    "opencv": ("opencv-python-headless", "opencv-python"),
    "scikit-learn": ("scikit-learn",),
}
"""The packages that can change a number, with the names under which they may be installed."""
CODE = ("celery_app.py", "tasks", "helpers", "preprocessing")


@functools.cache
def versions_here() -> dict[str, str]:
    """Versions of this process: `code` (a digest of the source as it was at the first call) and packages."""
    return {"code": _code_digest(), **{name: _version(*PACKAGES[name]) for name in PACKAGES}}


def explain_difference(expected: dict[str, str], here: dict[str, str]) -> str:
    """Say what differs, in words; empty if nothing does."""
    names = sorted(expected.keys() | here.keys())
    parts = [
        f"{name} {here.get(name, 'unknown')} instead of {expected.get(name, 'unknown')}"
        for name in names
        if expected.get(name) != here.get(name)
    ]
    return ", ".join(parts)


def _version(*names: str) -> str:
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            return version(name)
    return "absent"


def _code_digest() -> str:
    digest = hashlib.sha256()
    for part in CODE:
        place = ROOT / part
        files = [place] if place.is_file() else sorted(place.rglob("*.py"), key=Path.as_posix)
        for file in files:
            digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0")
            digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
