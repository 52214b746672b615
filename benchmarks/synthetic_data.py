"""Noise images from a fixed seed. Their size affects the measured times, their content does not."""

from pathlib import Path

import cv2
import numpy as np

from helpers.global_config import Config
from preprocessing.feed.prepared_data import PreparedData
from preprocessing.prepare.dataset_writer import Example, make_array, write_dataset
from preprocessing.prepare.sources.records import ImageRecord

SEED = 42
NUM_TEST = 8


def write_prepared(folder: Path, num_train: int, num_val: int, input_shape: tuple[int, int]) -> PreparedData:
    """Write noise as preprocessing writes images: uint8 (N, H, W, 3), alternating classes.

    Args:
        folder: made here; must not hold a data set.
        num_train: number of training images.
        num_val: number of validation images; there are also 8 test images.
        input_shape: height and width.
    """
    generator = np.random.default_rng(SEED)
    count = num_train + num_val + NUM_TEST
    scratch = folder / "scratch"
    scratch.mkdir(parents=True)
    pixels = scratch / "all.npy"
    make_array(pixels, (count, *input_shape, 3), np.uint8)
    images = np.lib.format.open_memmap(pixels, mode="r+")
    images[...] = generator.integers(0, 256, images.shape, dtype=np.uint8)
    del images
    examples = [
        Example(ImageRecord(f"{row % 2}/{row:05d}.png", row % 2), row, f"{row:064x}", row)
        for row in range(count)
    ]
    ends = {"train": num_train, "val": num_train + num_val, "test": count}
    starts = [0, *list(ends.values())[:-1]]
    splits = {name: np.arange(start, ends[name]) for name, start in zip(ends, starts, strict=True)}
    settings = Config.load(INPUT_SHAPE=input_shape).model_dump(
        mode="json", include={"INPUT_SHAPE", "SEED", "TEST_FRACTION", "VALIDATION_FRACTION"}
    )
    facts = {"source": "synthetic", "data_dir": "", "settings": settings, "left_out": []}
    write_dataset(folder, scratch, pixels, splits, examples, [], facts)
    pixels.unlink()
    scratch.rmdir()
    return PreparedData.open(folder)


def write_png_folder(folder: Path, count: int, side: int) -> None:
    """Write `count` gray PNGs of blurred noise, `side`×`side` pixels, half in 0/ and half in 1/."""
    generator = np.random.default_rng(SEED)
    for label in "01":
        (folder / label).mkdir(parents=True)
    for number in range(count):
        coarse = generator.integers(0, 256, (12, 12), dtype=np.uint8)
        image = np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)
        image |= generator.integers(0, 16, image.shape, dtype=np.uint8)
        cv2.imwrite(str(folder / str(number % 2) / f"{number:06d}.png"), image)


def write_manifest(folder: Path, count: int) -> None:
    """Write manifest.csv for `write_png_folder`: patients with two images each, and two devices."""
    lines = ["file,patient,device"]
    for number in range(count):
        patient = number // 4 * 2 + number % 2  # consecutive images of a class differ by two
        lines.append(f"{number % 2}/{number:06d}.png,{patient},{'A' if patient % 6 < 3 else 'B'}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
