"""Prepared images with other splits."""

import json

import numpy as np
import pytest

from preprocessing.errors import PreprocessingError
from preprocessing.feed.prepared_data import PreparedData
from preprocessing.prepare.divisions import as_prepared, by_seed, groups_of, places_of
from preprocessing.prepare.resplitting import resplit
from tests.unit.preprocessing.prepare.patients import prepared


def pixel_by_file(data: PreparedData) -> dict[tuple[str, str], list[int]]:
    return {
        (split, file): [*image.ravel()[:5].tolist(), label]
        for split in ("train", "val", "test")
        for file, image, label in zip(
            data.files(split), data.images(split), data.labels(split).tolist(), strict=True
        )
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("data"))


def test_images_move_with_labels_patients_and_columns(data, tmp_path):
    members = {"train": np.array([20, 0, 3]), "val": np.array([1, 2]), "test": np.array([5, 2])}
    other = resplit(data, members, tmp_path / "other")
    places = places_of(data)
    files = [data.files(split)[row] for split, row in places]
    assert other.files("train") == [files[20], files[0], files[3]]
    assert other.files("test") == [files[5], files[2]]
    before = {file: pixels for (_, file), pixels in pixel_by_file(data).items()}
    assert all(pixels == before[file] for (_, file), pixels in pixel_by_file(other).items())
    patient = {entry["file"]: entry["patient"] for entry in data.manifest["files"]}
    assert other.patients("val") == [patient[files[1]], patient[files[2]]]
    devices = [data.column(split, "device")[row] for split, row in places]
    assert other.column("val", "device") == devices[1:3]
    assert sum(other.manifest["counts"]["train"].values()) == 3
    other.check_arrays()


def test_the_same_splits_are_kept_and_others_refused(data, tmp_path):
    first = resplit(data, as_prepared(data), tmp_path / "same")
    assert resplit(data, as_prepared(data), tmp_path / "same").digest == first.digest
    assert [file.name for file in tmp_path.iterdir()] == ["same"]
    members = {split: rows[:4] for split, rows in as_prepared(data).items()}
    with pytest.raises(PreprocessingError, match="same: has other images or splits; remove it"):
        resplit(data, members, tmp_path / "same")


def test_half_a_folder_of_a_killed_process_is_replaced(data, tmp_path):
    (tmp_path / "half").mkdir()
    (tmp_path / "half/x_train.npy").touch()
    manifest = resplit(data, as_prepared(data), tmp_path / "half").manifest
    assert manifest["split_by"] == data.manifest["split_by"]
    assert json.loads((tmp_path / "half/manifest.json").read_text())["files"] == manifest["files"]


def test_the_manifest_says_what_the_new_splits_separate(data, tmp_path):
    data.manifest["audit"] |= {"split_copies": 2, "split_patients": 1}  # as with --allow-leaks
    try:
        drawn = resplit(data, by_seed(data, 3, 0.2, 0.2), tmp_path / "drawn").manifest
        assert (drawn["split_by"], drawn["grouped_by"]) == ("repeated", "patient and copy")
        assert (drawn["audit"]["split_copies"], drawn["audit"]["split_patients"]) == (0, 0)
        first, *others = np.flatnonzero(groups_of(data) == groups_of(data)[0])
        torn = {"train": np.array([first]), "val": np.array(others), "test": np.array([], int)}
        manifest = resplit(data, torn, tmp_path / "torn").manifest
        assert (manifest["grouped_by"], manifest["audit"]["split_patients"]) == (None, 1)
        assert resplit(data, as_prepared(data), tmp_path / "as-it-was").manifest["split_by"] == "drawn"
    finally:
        data.manifest["audit"] |= {"split_copies": 0, "split_patients": 0}


def test_it_is_what_preparing_with_these_splits_would_have_written(data, tmp_path):
    """Images in the order of label and file in each split, whatever the splits were before."""
    first = resplit(data, as_prepared(data), tmp_path / "first")
    mixed = resplit(
        data,
        {"train": np.arange(20), "val": np.arange(20, 40), "test": np.arange(40, 60)},
        tmp_path / "mixed",
    )
    again = resplit(mixed, as_prepared(data), tmp_path / "again")
    for name in ("x_train.npy", "y_val.npy", "x_test.npy"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "first" / name).read_bytes()
    assert again.manifest["files"] == first.manifest["files"]
