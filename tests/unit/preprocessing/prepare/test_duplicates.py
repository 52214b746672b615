import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocessing.prepare import duplicates
from preprocessing.prepare.duplicates import (
    MAX_BITS,
    MIN_COARSE,
    MIN_CORRELATION,
    SIDE,
    find_copies,
    make_thumbnails,
)
from preprocessing.prepare.similarity import GRID, aligned_correlation, coarse_contrasts, perceptual_hashes


def picture(seed, size=120):
    """Return a new picture: soft blobs of several sizes and some noise, uint8 (size, size)."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.normal(size=(n, n)), (size, size), interpolation=cv2.INTER_CUBIC) for n in (6, 15)
    ]
    gray = 128 + 35 * layers[0] + 15 * layers[1] + rng.normal(0, 4, (size, size))
    return np.clip(gray, 0, 255).astype(np.uint8)


def thumbnail(pixels):
    return cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def jpeg(pixels, quality):
    data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)


def brighten(pixels, by):
    return np.clip(pixels.astype(int) + by, 0, 255).astype(np.uint8)


TURNS = {
    "mirrored": lambda pixels: pixels[:, ::-1],
    "turned by 180°": lambda pixels: cv2.rotate(pixels, cv2.ROTATE_180),
    "flipped top to bottom": lambda pixels: pixels[::-1],
    "turned right by 90°": lambda pixels: cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE),
    "turned left by 90°": lambda pixels: cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE),
    "mirrored and turned right by 90°": lambda pixels: cv2.rotate(pixels[:, ::-1], cv2.ROTATE_90_CLOCKWISE),
    "mirrored and turned left by 90°": lambda pixels: cv2.transpose(pixels),
}
CHANGES = {
    "half size": lambda pixels: cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "three times the size": lambda pixels: cv2.resize(pixels, None, fx=3, fy=3),
    "jpeg": lambda pixels: jpeg(pixels, 30),
    "brighter": lambda pixels: brighten(pixels, 25),
    "darker": lambda pixels: brighten(pixels, -15),
    "more contrast": lambda pixels: np.clip(pixels * 1.3 - 38, 0, 255).astype(np.uint8),
    "cropped": lambda pixels: pixels[2:-2, 2:-2],
    **TURNS,
    "all together": lambda pixels: jpeg(brighten(cv2.resize(pixels[2:-1, 1:-2], (90, 80)), 15)[:, ::-1], 60),
}


def find(*pixels):
    return find_copies([str(number) for number in range(len(pixels))], np.stack([*map(thumbnail, pixels)]))


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_paired_with_their_originals(change):
    originals = [picture(seed) for seed in range(8)]
    copies = find(*originals, *(CHANGES[change](pixels) for pixels in originals))
    assert [(copy.row, copy.other) for copy in copies] == [(8 + number, number) for number in range(8)]
    assert all(copy.exact is False for copy in copies)
    turned = "mirrored" if change == "all together" else change if change in TURNS else ""
    assert {copy.detail.partition(", ")[2] for copy in copies} == {turned}


def test_no_false_alarm_on_different_pictures_noise_and_flat_images():
    noise = np.random.default_rng(0).integers(0, 256, (200, SIDE, SIDE), np.uint8)
    flat = [np.full((SIDE, SIDE), 100, np.uint8)] * 2 + [np.tile(np.uint8([100, 101]), (SIDE, SIDE // 2))] * 2
    assert find(*(picture(seed) for seed in range(200)), *noise, *flat) == []


def test_two_views_of_one_outline_are_not_copies():
    y, x = np.mgrid[:120, :120]
    breast = np.hypot(x, y - 60) < 55

    def mammogram(seed):
        return np.where(breast, np.clip(picture(seed), 60, 255), 0).astype(np.uint8)

    thumbnails = [thumbnail(mammogram(seed)) for seed in range(20)]
    plain = np.corrcoef(np.reshape(thumbnails, (20, -1)))
    assert plain.min() > 0.7  # the outline alone
    assert max(aligned_correlation(thumbnails[0], other) for other in thumbnails[1:]) < MIN_CORRELATION
    assert find(*thumbnails) == []


def test_dark_breasts_of_one_outline_are_not_joined_and_their_copies_are_found():
    """The tissue differs by a gray level or two, so that the outline is nearly all there is to see."""
    y, x = np.mgrid[:128, :128] / 128
    breast = (x / 0.75) ** 2 + ((y - 0.5) / 0.42) ** 2 < 1

    def mammogram(seed):
        rng = np.random.default_rng(seed)
        tissue = sum(cv2.resize(rng.normal(size=(side, side)), (128, 128)) * side for side in (4, 8))
        gray = rng.uniform(60, 160) * (1 + 0.01 * tissue) + rng.normal(size=(128, 128)) / 2
        return np.where(breast, np.clip(gray, 0, 255), 0).astype(np.uint8)

    pixels = [mammogram(seed) for seed in range(40)]
    assert find(*pixels) == []
    copies = find(*pixels, *(jpeg(cv2.resize(each, (90, 90)), 50) for each in pixels))
    assert {(copy.row, copy.other) for copy in copies} == {(40 + number, number) for number in range(40)}


def test_exact_copies_are_named_with_the_first_of_them():
    thumbnails = np.stack([thumbnail(picture(seed)) for seed in (0, 1, 0, 0)])
    copies = find_copies(["a", "b", "a", "a"], thumbnails)
    assert [(copy.row, copy.other, copy.exact, copy.detail) for copy in copies] == [
        (2, 0, True, "sha256 a"),
        (3, 0, True, "sha256 a"),
    ]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=24), st.integers(0, 1000))
def test_families_are_connected_by_the_fewest_pairs(families, seed):
    rng = np.random.default_rng(seed)
    pixels = [brighten(picture(family), int(rng.integers(-10, 10))) for family in families]
    copies = find(*pixels)
    assert all(copy.other < copy.row and families[copy.row] == families[copy.other] for copy in copies)
    assert len(copies) == len(families) - len(set(families))


def test_hashes_change_little_for_copies_and_by_half_for_others():
    pixels = [picture(seed) for seed in range(100)]
    hashes = perceptual_hashes(np.stack([*map(thumbnail, pixels)]))
    copies = perceptual_hashes(np.stack([thumbnail(jpeg(brighten(each, 20), 50)) for each in pixels]))
    assert np.bitwise_count(hashes ^ copies).max() <= MAX_BITS
    assert np.bitwise_count(hashes[:-1] ^ hashes[1:]).mean() == pytest.approx(32, abs=2)
    assert (np.bitwise_count(hashes) == 32).all()


def test_correlation_is_one_for_the_same_and_finds_a_shift():
    one = thumbnail(picture(1))
    assert aligned_correlation(one, one) == pytest.approx(1, abs=1e-4)
    shifted = thumbnail(picture(1)[6:, 6:])
    plain = np.corrcoef(one.ravel(), shifted.ravel())[0, 1]
    assert plain < MIN_CORRELATION < aligned_correlation(one, shifted)
    assert aligned_correlation(one, np.zeros_like(one)) == 0


def test_coarse_contrasts_are_unit_vectors_that_turn_with_the_picture_and_ignore_the_light():
    thumbnails = np.stack([thumbnail(picture(seed)) for seed in range(50)])
    contrasts = coarse_contrasts(thumbnails).reshape(50, -1)
    assert np.allclose(contrasts.sum(axis=1), 0, atol=1e-4)
    likeness = contrasts @ contrasts.T
    assert np.allclose(np.diag(likeness), 1, atol=1e-4)
    assert np.max(likeness - 2 * np.eye(50)) < MIN_COARSE
    lit = coarse_contrasts(thumbnails // 2 + 60).reshape(50, -1)
    assert (contrasts * lit).sum(axis=1).min() > 0.95
    assert np.abs(coarse_contrasts(np.full((1, SIDE, SIDE), 90, np.uint8))).max() < 1e-3
    for undo in duplicates.UNDO.values():
        turned = coarse_contrasts(np.ascontiguousarray(undo(thumbnails)))
        assert np.allclose(turned, undo(contrasts.reshape(-1, GRID, GRID)), atol=1e-4)


def test_thumbnails_of_chosen_rows_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(duplicates, "BLOCK", 2)
    images = np.random.default_rng(0).integers(0, 256, (6, SIDE, SIDE, 3), np.uint8)
    images[...] = images[..., :1]
    np.save(tmp_path / "all.npy", images)
    told = []
    thumbnails = make_thumbnails(tmp_path / "all.npy", [5, 0, 3], lambda *progress: told.append(progress))
    assert np.array_equal(thumbnails, images[[5, 0, 3], ..., 0])
    assert told == [(2, 3), (3, 3)]


def views(seed):
    """Return two pictures of one outline with different details: often aligned, but not copies."""
    rng = np.random.default_rng(seed)
    outline = cv2.resize(rng.normal(size=(8, 8)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    details = [cv2.resize(rng.normal(size=(16, 16)), (SIDE, SIDE)) for _ in range(2)]
    return [np.clip(128 + 35 * outline + 12 * detail, 0, 255).astype(np.uint8) for detail in details]


def test_twenty_thousand_images_are_seldom_aligned_and_planted_copies_are_found(monkeypatch):
    thumbnails = np.random.default_rng(0).integers(0, 256, (20_000, SIDE, SIDE), np.uint8)
    thumbnails[10_000:10_600] = [view for seed in range(300) for view in views(seed)]
    planted = {19_000 + number: 10_000 + 2 * number for number in range(len(TURNS))}
    for (row, other), turn in zip(planted.items(), TURNS.values(), strict=True):
        thumbnails[row] = brighten(turn(thumbnails[other]), 5)
    calls = []

    def counted(*pair):
        calls.append(pair)
        return aligned_correlation(*pair)

    monkeypatch.setattr(duplicates, "aligned_correlation", counted)
    told = []
    started = time.process_time()
    copies = find_copies(
        [str(number) for number in range(20_000)], thumbnails, lambda *progress: told.append(progress)
    )
    assert time.process_time() - started < 60  # 7 s where nothing else runs
    assert {copy.row: copy.other for copy in copies} == planted
    assert 150 < len(calls) < 400  # most of the views, little of what has a similar hash by chance
    assert told[-1] == (20_000, 20_000)
    assert len(told) > 50
