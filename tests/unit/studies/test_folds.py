"""Images of the study of recipes: folds of a manifest."""

import numpy as np
import pytest

from preprocessing.errors import PreprocessingError
from studies.folds import FoldImages
from studies.images import Images
from tests.unit.preprocessing.prepare.patients import prepared


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Folds 1 to 3 of thirty patients with two images each."""
    made = []

    def prepare(self, seed, place):
        made.append(place.name)
        place.mkdir(parents=True)
        prepared(place)

    monkeypatch.setattr(Images, "_prepare", prepare)
    images = FoldImages(tmp_path / "breasts", tmp_path / "prepared", (4, 4), print)
    images.name = ""  # as that of the prepared noise
    yield images
    assert made == ["all"]


def test_every_fold_is_the_test_once_and_patients_stay_together(images):
    assert [images.fold(seed) for seed in (1, 2, 3, 4)] == ["1", "2", "3", "1"]
    tested = []
    for seed in (1, 2, 3):
        data = images.prepared(seed)
        patients = [set(data.patients(split)) for split in ("train", "val", "test")]
        assert sum(map(len, patients)) == len(set.union(*patients)) == 30
        assert set(data.column("test", "fold")) == {str(seed)}
        tested += data.files("test")
    assert len(tested) == len(set(tested)) == 60


def test_the_validation_of_a_fold_is_the_same_for_all_seeds(images):
    first, again = images.prepared(1), images.prepared(4)
    assert first.files("val") == again.files("val")
    assert np.array_equal(first.images("train"), again.images("train"))


def test_images_without_folds_are_refused(images):
    for entry in images._all().manifest["files"]:
        del entry["columns"]["fold"]
    with pytest.raises(PreprocessingError, match="column fold of manifest"):
        images.prepared(1)
