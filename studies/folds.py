"""The images of the study of recipes: each fold of the manifest is the test once."""

import hashlib
import shutil
from pathlib import Path

import pandas as pd

from helpers.settings.errors import UserError
from studies.images import Images

FOLD_COLUMN = "fold"
VALIDATION_PERCENT = 12
"""Percentage of the other folds' patients that are the validation."""


class FoldImages(Images):
    """Prepared data by seed, as `Images`; the seed decides which fold is the test.

    Seeds 1, 2, … have the manifest's folds in order, and begin again with the first one. The validation is
    drawn by patient and is the same for all seeds of a fold.
    """

    def fold(self, seed: int) -> str:
        """Return the fold that is the test of a seed.

        Raises:
            UserError: the manifest has no folds.
        """
        folds = sorted(set(self._manifest()[FOLD_COLUMN]))
        return str(folds[(seed - 1) % len(folds)])

    def source(self, seed: int) -> Path:
        """Return a copy of the images whose manifest.csv has the splits of a seed.

        Raises:
            UserError: the manifest has no folds.
            OSError: the copy cannot be written.
        """
        fold, manifest = self.fold(seed), self._manifest()
        manifest["split"] = [
            "test" if of == fold else "val" if _is_validation(patient) else "train"
            for of, patient in zip(manifest[FOLD_COLUMN], manifest["patient"], strict=True)
        ]
        place = self._folder / f"seed-{seed}-images" / self.name
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self._data_dir, place)
        manifest.to_csv(place / "manifest.csv", index=False)
        return place

    def _manifest(self) -> pd.DataFrame:
        path = self._data_dir / "manifest.csv"
        try:
            manifest = pd.read_csv(path, dtype=str)
        except (OSError, ValueError) as error:
            raise UserError(f"--data-dir: {path} cannot be read ({error})") from None
        if missing := {FOLD_COLUMN, "patient"} - set(manifest):
            raise UserError(f"--data-dir: {path} has no column {' and no '.join(sorted(missing))}")
        return manifest


def _is_validation(patient: str) -> bool:
    digest = hashlib.sha256(f"v{patient}".encode()).digest()
    return int.from_bytes(digest, "big") % 100 < VALIDATION_PERCENT
