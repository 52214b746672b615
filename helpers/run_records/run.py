"""A run as an object: its tables, its model and its report."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pandas as pd

from helpers.global_config import Config
from helpers.run_records.files import RecordError, RunFolders
from helpers.settings.errors import UserError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Run:
    """The results of a run.

    Attributes:
        name: name of the run.
        folders: where its results are.
    """

    name: str
    folders: RunFolders

    @classmethod
    def open(cls, config: Config, name: str) -> Self:
        """Return a run by its name.

        Raises:
            UserError: METRICS_DIR has no run of this name.
        """
        folders = RunFolders.of(config, name)
        if not (folders.metrics / "run.json").is_file():
            raise UserError(f"run {name}: not found in {config.METRICS_DIR}; `python run.py runs` lists all")
        return cls(name, folders)

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """Each round: the averaged model on the validation images (rounds.csv)."""
        return self._table("rounds.csv")

    @cached_property
    def clients(self) -> pd.DataFrame:
        """Each client in each round: its own model on the validation images (clients.csv)."""
        return self._table("clients.csv")

    @cached_property
    def test(self) -> pd.DataFrame:
        """One row: the best model on the test images (test.csv)."""
        return self._table("test.csv")

    @property
    def report(self) -> Path:
        """The report, a page for the browser."""
        return self.folders.metrics / "report.html"

    def model(self) -> "keras.Model":
        """Load the best model, without its optimizer.

        Raises:
            RecordError: it does not exist yet or cannot be read.
        """
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's remarks belong to no notebook
        import keras

        file = self.folders.models / "best.keras"
        try:
            return keras.models.load_model(file, compile=False)
        except (OSError, ValueError) as error:
            raise RecordError(f"{file}: cannot be read: {error}") from error

    def _table(self, name: str) -> pd.DataFrame:
        file = self.folders.metrics / name
        try:
            return pd.read_csv(file)
        except (OSError, ValueError) as error:
            raise RecordError(f"{file}: cannot be read: {error}") from error
