"""Atomic file writing, and the folders of a run."""

import contextlib
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from helpers.global_config import Config
from helpers.settings.errors import UserError


class RecordError(UserError):
    """A record of a run could not be read or written; an earlier file is unchanged."""


def write_whole(path: Path, *data: bytes | memoryview) -> None:
    """Write buffers to a file under a temporary name, flush it to the disk, then rename it.

    Raises:
        RecordError: the disk is full, the folder cannot be written, …
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.writelines(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise RecordError(f"{path} could not be written: {error.strerror or error}") from error


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
