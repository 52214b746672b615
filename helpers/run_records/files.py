"""Atomic changes of files, and the folders of a run."""

import contextlib
import mmap
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from helpers.global_config import Config
from helpers.settings.errors import UserError

PLACES: ContextVar[dict[Path, Path]] = ContextVar("places", default={})  # noqa: B039 (never changed)
"""Where this task prepares the files of a run that it has taken over, by folder; see `fence`."""


class RecordError(UserError):
    """A record of a run could not be read or written; an earlier file is unchanged."""


class TakenOver(RecordError):
    """Another task took the run over, so that this one can no longer change its files."""

    def __init__(self, run: str) -> None:
        super().__init__(f"run {run} was taken over: this task came too late, its result is not used")


def write_whole(path: Path, *data: bytes | memoryview) -> None:
    """Write buffers to a file under a temporary name, flush it to the disk, then rename it.

    Raises:
        TakenOver: another task took the run over.
        RecordError: the disk is full, the folder cannot be written, …
    """
    with _changing(path, "written") as temporary:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.writelines(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _flush_folder(path.parent)


def mapped(path: Path) -> memoryview:
    """Return the content of a file without reading it into memory; empty if the file is missing.

    Raises:
        OSError: it cannot be read.
    """
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        if os.fstat(file.fileno()).st_size:  # an empty file cannot be mapped
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    return memoryview(b"")


def remove(path: Path) -> None:
    """Delete a file or folder; a missing one is ignored.

    Raises:
        TakenOver: another task took the run over.
        RecordError: it cannot be deleted.
    """
    with _changing(path, "deleted") as temporary:
        if path.exists():
            path.rename(temporary)
            is_folder = temporary.is_dir() and not temporary.is_symlink()
            shutil.rmtree(temporary) if is_folder else temporary.unlink()


@contextlib.contextmanager
def _changing(path: Path, change: str) -> Iterator[Path]:
    """Yield a name for what becomes, or was, the file at `path`; translate errors."""
    place = PLACES.get().get(path.parent)
    temporary = (place or path.parent) / f".{path.name}.{os.getpid()}.tmp"
    try:
        yield temporary
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if place is not None and not place.exists():
            raise TakenOver(path.parent.name) from None
        raise RecordError(f"{path} could not be {change}: {error.strerror or error}") from error


def _flush_folder(folder: Path) -> None:
    """Make renames in a folder last through a power cut; Windows cannot."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@dataclass(frozen=True)
class RunFolders:
    """The two folders of a run.

    Attributes:
        metrics: `metrics/<run>`: CSV files and scores.
        models: `models/<run>`: weights, models and state.json.
    """

    metrics: Path
    models: Path

    @classmethod
    def of(cls, config: Config, run: str) -> "RunFolders":
        return cls(config.METRICS_DIR / run, config.MODELS_DIR / run)

    @property
    def epoch(self) -> int:
        """Number of this task's take-over of the run (`fence`); 0 where it has not taken it over."""
        place = PLACES.get().get(self.models)
        return int(place.name.split("-")[1]) if place else 0

    @property
    def results(self) -> list[Path]:
        """Files and folders of a finished run that a person wants to see."""
        files = [self.models / name for name in ("best.keras", "model_card.md")]
        return [self.metrics, self.metrics / "report.html", *files]

    def results_here(self) -> list[str]:
        """Return the results that exist on this machine, as `host:/path`."""
        return [f"{socket.gethostname()}:{path.absolute()}" for path in self.results if path.exists()]

    def results_found(self, elsewhere: Sequence[str]) -> list[str]:
        """Return where a person finds the results: here, or on the machine of the worker that wrote them.

        Args:
            elsewhere: `results_here` of that worker.
        """
        places = {place.rpartition("/")[2]: place for place in elsewhere}
        # The report makes the folder of metrics exist here, too.
        here = {path.name for path in self.results if (path / "test.csv" if path.is_dir() else path).exists()}
        found = [str(path) if path.name in here else places.get(path.name, "") for path in self.results]
        return [place for place in found if place]

    @property
    def state(self) -> Path:
        return self.models / "state.json"

    def exist(self) -> bool:
        return self.metrics.exists() or self.models.exists()
