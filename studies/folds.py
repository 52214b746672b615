"""The images of the study of recipes: each fold of the manifest is the test once."""

import hashlib
from pathlib import Path

import numpy as np

from preprocessing.feed.prepared_data import MANIFEST, PreparedData
from preprocessing.prepare.divisions import by_column, numbered
from preprocessing.prepare.resplitting import resplit
from studies.images import Images

FOLD_COLUMN = "fold"
VALIDATION_PERCENT = 12
"""Percentage of the other folds' patients that are the validation."""


class FoldImages(Images):
    """Prepared data by seed, as `Images`; the seed decides which fold is the test.

    Seeds 1, 2, … have the manifest's folds in order, and begin again with the first one. The validation is
    drawn by patient and is the same for all seeds of a fold. The images are read once, into `all`.
    """

    def fold(self, seed: int) -> str:
        """Return the fold that is the test of a seed."""
        return self.prepared(seed).column("test", FOLD_COLUMN)[0]

    def _prepare(self, seed: int, place: Path) -> None:
        data = self._all()
        folds = by_column(data, FOLD_COLUMN, 1, VALIDATION_PERCENT / 100, may_divide=False)
        test = folds[sorted(folds)[(seed - 1) % len(folds)]]["test"]
        is_validation = np.array([_is_validation(patient) for patient in numbered(data, data.patients)])
        rest = np.setdiff1d(np.arange(len(is_validation)), test)
        members = {"train": rest[~is_validation[rest]], "val": rest[is_validation[rest]], "test": test}
        resplit(data, members, place)

    def _all(self) -> PreparedData:
        """Return all images, with any splits."""
        place = self._folder / "all"
        if not (place / MANIFEST).exists():
            super()._prepare(1, place)
        return PreparedData.open(place)


def _is_validation(patient: str) -> bool:
    digest = hashlib.sha256(f"v{patient}".encode()).digest()
    return int.from_bytes(digest, "big") % 100 < VALIDATION_PERCENT
