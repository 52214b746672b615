"""Arrays that are not those of their manifest are refused, and unchanged ones are read once."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.synthetic_data import write_prepared
from preprocessing.errors import PreprocessingError
from preprocessing.feed import prepared_data


def test_the_manifest_holds_the_digests_of_all_arrays(tmp_path: Path) -> None:
    data = write_prepared(tmp_path / "data", 8, 4, (4, 4))
    digests = data.manifest["arrays"]
    assert sorted(digests) == [f"{kind}_{split}.npy" for kind in "xy" for split in ("test", "train", "val")]
    assert all(prepared_data.file_digest(data.folder / name) == digest for name, digest in digests.items())


def test_a_changed_array_is_refused(tmp_path: Path) -> None:
    data = write_prepared(tmp_path / "data", 8, 4, (4, 4))
    data.check_arrays()
    np.save(data.folder / "y_train.npy", 1 - data.labels("train"))
    with pytest.raises(
        PreprocessingError, match=r"y_train\.npy: its sha256 differs from the one in manifest"
    ):
        data.check_arrays()


def test_unchanged_arrays_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_prepared(tmp_path / "data", 8, 4, (4, 4))
    data.check_arrays()
    monkeypatch.setattr(prepared_data, "file_digest", lambda path: "another")
    data.check_arrays()


def test_a_manifest_without_digests_is_accepted(tmp_path: Path) -> None:
    data = write_prepared(tmp_path / "data", 8, 4, (4, 4))
    del data.manifest["arrays"]
    np.save(data.folder / "y_train.npy", 1 - data.labels("train"))
    data.check_arrays()
