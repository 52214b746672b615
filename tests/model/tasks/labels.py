"""Prepared data of which tests need only the labels."""

import numpy as np

VAL_LABELS = np.array([0, 1, 0, 1], np.int32)


class Labels:
    """Prepared data without patients: a number of training images, and four for validation."""

    has_patients = False

    def __init__(self, num_rows: int) -> None:
        self._train = np.zeros(num_rows, np.int32)

    def labels(self, split: str) -> np.ndarray:
        return self._train if split == "train" else VAL_LABELS

    def images(self, split: str) -> None:
        """Return nothing: what would read them is replaced."""
