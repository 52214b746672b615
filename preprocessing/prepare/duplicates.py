"""Copies among images: identical files, and near copies.

A near copy is resized, recompressed, brighter or darker, cropped by a few percent, mirrored or rotated by
quarter turns. Candidates are pairs whose perceptual hashes differ in few bits and whose coarse contrasts
correlate. A candidate is confirmed by the correlation of small gray thumbnails after alignment.

The limits were chosen on BUS-BRA (1,492 ultrasound images, many of them two views of one patient), where two
views correlate by at most 0.956. Detected were 100 % of its copies at half or three times the size, as JPEG
of quality 20, or brighter by 30 gray levels; 97 % of those darker by 15 (some pixels become black); 98 % of
those cropped by 2 % on every side, 88 % by 3 %, 58 % by 5 %. Copies altered more can be missed: of 373, 34 %
were detected with a line of text across the foot, 74 % with four caliper marks.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.prepare.similarity import GRID, aligned_correlation, coarse_contrasts, perceptual_hashes

SIDE = 48  # pixels per side of a thumbnail
FLAT = 2.0  # gray levels; images with less deviation have nothing to compare
MAX_BITS = 12  # of 64 that may differ
MIN_COARSE = 0.7  # correlation of the coarse contrasts before alignment; avoids most alignments
MIN_CORRELATION = 0.96  # after alignment
MOST_CANDIDATES = 8  # per image and orientation, the most alike; bounds the cost where all images are alike
BLOCK = 256  # images reduced, hashed and compared at once; limits memory
MAPPED_BYTES = 2**26  # of images reduced at once, if less than BLOCK

# Orientations of a copy, and the functions that undo them on the last two axes of an array.
UNDO: dict[str, Callable[[Any], Any]] = {
    "": lambda pixels: pixels,
    "mirrored": lambda pixels: pixels[..., ::-1],
    "turned by 180°": lambda pixels: pixels[..., ::-1, ::-1],
    "flipped top to bottom": lambda pixels: pixels[..., ::-1, :],
    "turned right by 90°": lambda pixels: np.rot90(pixels, 1, axes=(-2, -1)),
    "turned left by 90°": lambda pixels: np.rot90(pixels, -1, axes=(-2, -1)),
    "mirrored and turned right by 90°": lambda pixels: np.rot90(pixels, 1, axes=(-2, -1))[..., ::-1],
    "mirrored and turned left by 90°": lambda pixels: np.swapaxes(pixels, -2, -1),
}
Progress = Callable[[int, int], None]
"""Called with the number of images done and the total."""


@dataclass(frozen=True)
class Copy:
    """A pair of images: `row` is an exact or near copy of `other`; `detail` is the evidence."""

    row: int
    other: int
    exact: bool
    detail: str


def make_thumbnails(pixels: Path, rows: Sequence[int], progress: Progress) -> NDArray[np.uint8]:
    """Return small gray versions of some images.

    Args:
        pixels: .npy file, uint8 (N, H, W, C), RGB or gray.
        rows: the rows to reduce.
        progress: called after every block.

    Returns:
        uint8 (len(rows), SIDE, SIDE).
    """
    thumbnails = np.empty((len(rows), SIDE, SIDE), np.uint8)
    at_once = max(1, min(BLOCK, MAPPED_BYTES // np.load(pixels, mmap_mode="r")[0].nbytes))
    for start in range(0, len(rows), at_once):
        images = np.load(pixels, mmap_mode="r")  # one map per block, so that memory does not grow
        for place, row in enumerate(rows[start : start + at_once], start):
            image = images[row]
            gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.shape[2] == 3 else image
            thumbnails[place] = cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        progress(min(start + at_once, len(rows)), len(rows))
    return thumbnails


def find_copies(
    checksums: Sequence[str],
    thumbnails: NDArray[np.uint8],
    progress: Progress = lambda done, total: None,
    near: bool = True,
) -> list[Copy]:
    """Find exact and near copies.

    Every copy is paired with one earlier image: an exact copy with the first identical file, a near copy
    with a member of its family. The pairs are few, yet name all copies and connect every family.

    Args:
        checksums: sha256 of each image file.
        thumbnails: uint8 (N, SIDE, SIDE), in the same order.
        progress: called with the number of images compared with all earlier ones.
        near: whether to look for near copies, too.

    Returns:
        Exact copies, then near copies.
    """
    first: dict[str, int] = {}
    copies = []
    for row, checksum in enumerate(checksums):
        other = first.setdefault(checksum, row)
        if other != row:
            copies.append(Copy(row, other, exact=True, detail=f"sha256 {checksum}"))
    if not near:
        return copies
    rows = np.array([row for row in first.values() if thumbnails[row].std() >= FLAT], dtype=np.int64)
    return copies + _find_near_copies(rows, thumbnails, progress)


def _find_near_copies(
    rows: NDArray[np.int64], thumbnails: NDArray[np.uint8], progress: Progress
) -> list[Copy]:
    copies = []
    family = rows.copy()  # images of one family share a number and are not compared again
    for left, right, change in _similar_pairs(rows, family, thumbnails, progress):
        row, other = int(rows[left]), int(rows[right])
        candidate = np.ascontiguousarray(UNDO[change](thumbnails[row]))
        correlation = aligned_correlation(thumbnails[other], candidate)
        if correlation >= MIN_CORRELATION:
            family[family == family[left]] = family[right]
            detail = f"correlation {correlation:.3f}" + (f", {change}" if change else "")
            copies.append(Copy(row, other, exact=False, detail=detail))
    return copies


def _similar_pairs(
    rows: NDArray[np.int64], family: NDArray[np.int64], thumbnails: NDArray[np.uint8], progress: Progress
) -> Iterator[tuple[int, int, str]]:
    """Yield indices of `rows` of two similar images, the later one first, and a key of UNDO.

    The caller updates `family` between pairs. Pairs within one family are skipped, so that many copies of
    one picture take no longer than the same number of different images.
    """
    hashes = np.empty(len(rows), np.uint64)
    contrasts = np.empty((len(rows), GRID * GRID), np.float32)
    for start in range(0, len(rows), BLOCK):
        stop = min(start + BLOCK, len(rows))
        block = thumbnails[rows[start:stop]]
        grids = coarse_contrasts(block)
        hashes[start:stop], contrasts[start:stop] = perceptual_hashes(block), grids.reshape(stop - start, -1)
        turned = [
            (change, perceptual_hashes(undo(block)), undo(grids).reshape(stop - start, -1))
            for change, undo in UNDO.items()
        ]
        for left in range(start, stop):
            for change, own_hashes, own_contrasts in turned:
                bits = np.bitwise_count(own_hashes[left - start] ^ hashes[:left])
                others = np.flatnonzero(bits <= MAX_BITS)
                others = others[family[others] != family[left]]
                likeness = contrasts[others] @ own_contrasts[left - start]
                others, likeness = others[likeness >= MIN_COARSE], likeness[likeness >= MIN_COARSE]
                if len(others) > MOST_CANDIDATES:
                    others = np.sort(others[np.argsort(-likeness, kind="stable")[:MOST_CANDIDATES]])
                while len(others := others[family[others] != family[left]]):
                    yield left, int(others[0]), change
                    others = others[1:]
        progress(stop, len(rows))
