"""Images to evaluate a model on, read as the preparation reads them."""

import argparse
from pathlib import Path

import cv2
import numpy as np
import pytest

from commands.labeled_images import LabeledImages, labeled_images
from helpers.global_config import Config
from helpers.settings.errors import UserError
from preprocessing.load_and_create_dataset import prepare
from preprocessing.prepare.sources.dicom import read_dicom
from preprocessing.prepare.sources.image_folder import read_image
from tests.unit.preprocessing.prepare.sources.test_dicom import save

SHAPE = (6, 5, 1)


def read(path: Path, names: tuple[str, ...] = ("benign", "malignant"), **options: object) -> LabeledImages:
    given = {"source": None, "split": "all", "positive_class": None, "crop_breast": False,
             "skip_unreadable": False, **options}  # fmt: skip
    progress = lambda step, done, total: None  # noqa: E731
    with labeled_images(path, SHAPE, names, argparse.Namespace(**given), progress) as images:
        pixels = np.array(images.pixels)
    return LabeledImages(**{**vars(images), "pixels": pixels})


def write(folder: Path, name: str, seed: int) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.random.default_rng(seed).integers(0, 256, (9, 7, 3), np.uint8))
    return file


def test_pictures_in_folders_are_those_of_the_preparation(tmp_path):
    files = [write(tmp_path, "benign/a.png", 0), write(tmp_path, "malignant/b.png", 1)]
    images = read(tmp_path)
    assert images.files == ["benign/a.png", "malignant/b.png"]
    assert images.labels.tolist() == [0, 1]
    for file, pixels, digest in zip(files, images.pixels, images.digests, strict=True):
        expected = read_image(file, SHAPE)
        np.testing.assert_array_equal(pixels, expected.pixels)
        assert digest == expected.sha256
    assert (images.has_patients, images.patients.tolist()) == (False, images.digests)
    assert (images.source, images.notes) == ("folder", [])


def test_a_folder_of_dicom_files_is_recognized_and_cropped_if_asked(tmp_path):
    pytest.importorskip("pydicom")
    pixels = np.random.default_rng(0).integers(0, 4096, (12, 12)).astype(np.uint16)
    files = [save(tmp_path / name / "1.dcm", pixels // part) for part, name in ((1, "0"), (2, "1"))]
    (tmp_path / "README.txt").touch()
    for crop in (False, True):
        images = read(tmp_path, crop_breast=crop)
        assert (images.source, images.is_cropped, images.has_patients) == ("dicom", crop, True)
        for file, own in zip(files, images.pixels, strict=True):
            np.testing.assert_array_equal(own, read_dicom(file, SHAPE, crop).pixels)


def test_classes_are_those_of_the_model_by_name_whatever_their_order(tmp_path):
    for number, name in enumerate(("zebra", "ape", "cow")):
        write(tmp_path, f"{name}/{number}.png", number)
    images = read(tmp_path, ("zebra", "cow", "ape"))
    assert dict(zip(images.files, images.labels.tolist(), strict=True)) == {
        "zebra/0.png": 0, "cow/2.png": 1, "ape/1.png": 2,
    }  # fmt: skip
    with pytest.raises(UserError, match="exactly these"):
        read(tmp_path, ("zebra", "cow", "dog"))


def test_labels_in_another_order_than_the_model_s_are_refused(tmp_path):
    for number, name in enumerate(("benign", "malignant")):
        write(tmp_path / "raw", f"{name}/{number}.png", number)
    said = r"order malignant, benign, those of the model benign, malignant; leave --positive-class out"
    with pytest.raises(UserError, match=said):
        read(tmp_path / "raw", positive_class="benign")
    names = ("malignant", "benign")
    config = Config(
        DATA_DIR=tmp_path / "raw", PREPROCESSED_DIR=tmp_path, INPUT_SHAPE=SHAPE[:2], CLASS_NAMES=names
    )
    for label, name in enumerate(names):
        for number in range(2, 12):
            write(tmp_path / "raw", f"{name}/{number}.png", 100 * label + number)
    prepare(config.model_copy(update={"INPUT_DIM": 1, "NEAR_COPIES": "off"}))
    with pytest.raises(UserError, match=said):
        read(tmp_path)
    for options, name in (
        ({"positive_class": "benign"}, "positive-class"),
        ({"crop_breast": True}, "crop-breast"),
        ({"source": "folder"}, "source"),
        ({"skip_unreadable": True}, "skip-unreadable"),
    ):
        with pytest.raises(UserError, match=rf"--{name}: the images of .* are prepared"):
            read(tmp_path, **options)
    with pytest.raises(UserError, match=r"--crop-breast: is for DICOM files; those of .* source folder"):
        read(tmp_path / "raw", names, crop_breast=True)


def test_a_column_split_chooses_images(tmp_path):
    for number in range(4):
        write(tmp_path, f"{number}.png", number)
    rows = [f"{number}.png,{number % 2},{'test' if number > 1 else 'train'},left" for number in range(4)]
    (tmp_path / "manifest.csv").write_text("\n".join(["file,label,split,side", *rows]))
    images = read(tmp_path / "manifest.csv", split="test")
    assert images.files == ["2.png", "3.png"]
    assert images.columns == {"side": ["left", "left"]}
