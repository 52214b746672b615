"""Images of the study of recipes: folds of a manifest."""

import pandas as pd
import pytest

from helpers.settings.errors import UserError
from studies.folds import FoldImages


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "breasts"
    folder.mkdir()
    rows = [(f"{number}.png", f"patient {number // 2}", 1 + number // 2 % 4) for number in range(4000)]
    pd.DataFrame(rows, columns=["file", "patient", "fold"]).to_csv(folder / "manifest.csv", index=False)
    return FoldImages(folder, tmp_path / "prepared", (16, 16), print)


def test_every_fold_is_the_test_once_and_patients_stay_together(images):
    assert [images.fold(seed) for seed in (1, 2, 3, 4, 5)] == ["1", "2", "3", "4", "1"]
    tested = []
    for seed in (1, 2, 3, 4):
        manifest = pd.read_csv(images.source(seed) / "manifest.csv")
        assert manifest.groupby("patient")["split"].nunique().max() == 1
        assert (manifest["fold"] == seed).equals(manifest["split"] == "test")
        assert 0.09 < (manifest["split"] == "val").sum() / (manifest["split"] != "test").sum() < 0.15
        tested += list(manifest.loc[manifest["split"] == "test", "file"])
    assert len(tested) == len(set(tested)) == 4000


def test_a_manifest_without_folds_is_refused(images, tmp_path):
    (tmp_path / "breasts/manifest.csv").write_text("file,patient\n1.png,a\n")
    with pytest.raises(UserError, match=r"--data-dir: .*manifest\.csv has no column fold"):
        images.source(1)
