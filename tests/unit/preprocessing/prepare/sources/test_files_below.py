"""The files in a folder of images."""

from pathlib import Path

import pytest

from preprocessing.prepare.sources.files_below import files_below


def found(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in files_below(root)]


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_hidden_files_and_folders_are_skipped(tmp_path: Path) -> None:
    touch(
        tmp_path / "1/a.png",
        tmp_path / "1/._a.png",
        tmp_path / "1/.thumbs/a.png",
        tmp_path / ".cache/1/b.png",
    )
    assert found(tmp_path) == ["1/a.png"]


def test_links_are_followed_to_each_folder_once(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    touch(root / "0/a.png", elsewhere / "b.png", elsewhere / "deep/c.png")
    try:
        (root / "1").symlink_to(elsewhere)
        (elsewhere / "again").symlink_to(root)
        (root / "0/zero").symlink_to(root / "0")
        (root / "0/broken.png").symlink_to(tmp_path / "nothing")
    except OSError:
        pytest.skip("this system makes no links")
    assert found(root) == ["0/a.png", "1/b.png", "1/deep/c.png"]
