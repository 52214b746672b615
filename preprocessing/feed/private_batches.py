"""Samples of DP-SGD: every step draws each unit, an image or a patient, on its own (Poisson sampling)."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from helpers.global_config import Config
from preprocessing.errors import PreprocessingError
from preprocessing.feed.augment_images import augmentation
from preprocessing.feed.prepared_data import PreparedData

Rows = NDArray[np.integer]
Unit = tuple[NDArray[np.float32], NDArray[np.float32]]


def check_patients(data: PreparedData, config: Config) -> None:
    """Check that patients are known where they are what DP protects.

    Raises:
        PreprocessingError: they are not.
    """
    if config.DP_UNIT == "patient" and not data.has_patients:
        raise PreprocessingError(
            "DP_UNIT: received patient, but the patients of the images are unknown; add a column patient to "
            "manifest.csv and prepare the images again, or set DP_UNIT=image"
        )


def units_of(data: PreparedData, config: Config, rows: Rows) -> list[Rows]:
    """Return the rows of every unit of a client: an image, or by DP_UNIT all its images of a patient.

    Raises:
        PreprocessingError: patients are not known.
    """
    check_patients(data, config)
    if config.DP_UNIT == "image":
        return list(rows.reshape(-1, 1))
    _, unit = np.unique(np.asarray(data.patients("train"))[rows], return_inverse=True)
    return [rows[unit == number] for number in range(unit.max() + 1)]


def private_batches(
    images: NDArray[np.uint8],
    labels: NDArray[np.int32],
    rows: Rows,
    *,
    batch_size: int,
    epochs: int,
    augmentation_name: str,
    seed: list[int],
    units: Sequence[Rows],
    draw: Callable[[int, float], NDArray[np.bool_]],
) -> Iterator[Iterator[Unit]]:
    """Yield for every step the units that are drawn for it, augmented.

    Steps are as many as `training_batches` has batches, of `batch_size` images on average.

    Args:
        images, labels, rows, batch_size, epochs, augmentation_name: as in `training_batches`.
        seed: of the augmentation. It does not decide which units are drawn.
        units: `units_of` the rows. A step uses at most `batch_size` images of a unit, drawn again each time.
        draw: returns for each of a number of units whether it is drawn, given the probability.
    """
    generator = np.random.default_rng(seed)
    augment = augmentation(augmentation_name, images.shape[1:3], seed=int(generator.integers(2**32)))
    rate = min(1.0, batch_size / len(rows))

    def unit_of(chosen: Rows) -> Unit:
        if len(chosen) > batch_size:
            chosen = generator.choice(chosen, batch_size, replace=False)
        pixels = np.stack([augment(images[row]) for row in chosen])
        return pixels, labels[chosen].astype(np.float32).reshape(-1, 1)

    for _ in range(epochs * -(-len(rows) // batch_size)):
        yield (unit_of(units[number]) for number in np.flatnonzero(draw(len(units), rate)).tolist())
