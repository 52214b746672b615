"""Images of the study."""

import gzip

import numpy as np
import pytest

from benchmarks.synthetic_data import write_prepared
from helpers.settings.errors import UserError
from studies.images import Images
from studies.published_images import LabeledImages, PublishedImages, fashion_mnist


def test_other_images_than_those_prepared_are_refused(tmp_path):
    write_prepared(tmp_path / "prepared/seed-1", 4, 2, (16, 16))  # their folder has no name
    with pytest.raises(UserError, match=r"--data-dir: received images, but .* name another --out"):
        Images(tmp_path / "images", tmp_path / "prepared", (16, 16), print).prepared(1)


def test_a_publications_images_keep_its_splits_and_clients(tmp_path):
    splits = np.array(["train"] * 6 + ["val"] * 2 + ["test"] * 2)
    pixels = np.random.default_rng(1).integers(0, 256, (10, 28, 28), dtype=np.uint8)
    images = LabeledImages(pixels, np.arange(10) % 2, splits)

    def divide(labels, *, generator):
        return np.arange(len(labels)) % 3

    places = (tmp_path / "digits", tmp_path / "prepared")
    data = PublishedImages(lambda: images, {"third": divide}, *places, print).prepared(1)
    assert {split: len(data.labels(split)) for split in ("train", "val", "test")} == {
        "train": 6, "val": 2, "test": 2,
    }  # fmt: skip
    clients = zip(data.files("train"), data.column("train", "third"), strict=True)
    assert {int(file[2:7]): client for file, client in clients} == {row: f"{row % 3:03d}" for row in range(6)}


def test_fashion_mnist_is_read_from_the_files_of_its_package(tmp_path):
    generator = np.random.default_rng(1)
    expected = {}
    for name, count in (("train", 3), ("t10k", 20)):
        pixels = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = generator.integers(0, 10, count, dtype=np.uint8)
        expected[name] = pixels, labels
        with gzip.open(tmp_path / f"{name}-images-idx3-ubyte.gz", "wb") as file:
            file.write(bytes(16) + pixels.tobytes())
        with gzip.open(tmp_path / f"{name}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(bytes(8) + labels.tobytes())
    images = fashion_mnist(tmp_path)
    for name, rows in (("train", slice(3)), ("t10k", slice(3, None))):
        np.testing.assert_array_equal(images.pixels[rows], expected[name][0])
        np.testing.assert_array_equal(images.labels[rows], expected[name][1])
    assert [list(images.splits).count(split) for split in ("train", "val", "test")] == [3, 18, 2]
    with pytest.raises(UserError, match="apt-get install dataset-fashion-mnist"):
        fashion_mnist(tmp_path / "absent")
