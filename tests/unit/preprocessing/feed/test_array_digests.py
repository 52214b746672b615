"""Arrays that are not those of their manifest are refused, and unchanged ones are read once."""

import hashlib
import os
from pathlib import Path

import pytest

from preprocessing.errors import PreprocessingError
from preprocessing.feed import array_digests
from preprocessing.feed.array_digests import check_arrays


def test_a_changed_array_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x_train.npy"
    file.write_bytes(b"one")
    digests = {"x_train.npy": hashlib.sha256(b"one").hexdigest()}
    check_arrays(tmp_path, digests)
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    with pytest.raises(PreprocessingError, match=r"x_train\.npy: its sha256 differs from the one"):
        check_arrays(tmp_path, digests)
    file.unlink()
    with pytest.raises(PreprocessingError, match=r"x_train\.npy: No such file"):
        check_arrays(tmp_path, digests)


def test_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "y_val.npy").write_bytes(b"one")
    read: list[Path] = []
    monkeypatch.setattr(array_digests, "file_digest", lambda path: read.append(path) or "digest")
    for _ in range(3):
        check_arrays(tmp_path, {"y_val.npy": "digest"})
    assert read == [tmp_path / "y_val.npy"]


def test_a_manifest_without_digests_is_accepted(tmp_path: Path) -> None:
    check_arrays(tmp_path, {})
