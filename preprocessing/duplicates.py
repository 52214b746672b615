"""Copies among images: the same file, or nearly the same picture.

A near copy is resized, recompressed, brighter or darker, cropped by a few percent or mirrored. Candidates
are images whose perceptual hashes differ in few bits; a candidate is confirmed by the correlation of small
grey thumbnails after aligning one to the other.

The limits were chosen on BUS-BRA (1,492 ultrasound images, many of them two views of one patient): two views
correlate by 0.956 at most. Within both limits are 100 % of its copies at half or three times the size, as
JPEG of quality 20, or brighter by 30 grey levels; 97 % of those darker by 15 (black swallows a part);
98 % of those cropped by 2 % on every side, 89 % by 3 %, 59 % by 5 %.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 48  # pixels of a thumbnail
FLAT = 2.0  # grey levels; images that vary less show nothing to compare
MAX_BITS = 12  # of 64 that may differ
MIN_CORRELATION = 0.96
BLOCK = 256  # images hashed and compared at once; bounds memory

Progress = Callable[[int, int], None]  # called with the number of images done and of all


@dataclass(frozen=True)
class Copy:
    """Image `row` is a copy of image `other`, exact or near; `detail` says what shows it."""

    row: int
    other: int
    exact: bool
    detail: str


def make_thumbnails(pixels: Path, rows: Sequence[int], progress: Progress) -> NDArray[np.uint8]:
    """Small grey versions of some images.

    Args:
        pixels: .npy file, uint8 (N, H, W, 3), RGB.
        rows: which of its rows.
        progress: told how many are done.

    Returns:
        uint8 (len(rows), SIDE, SIDE).
    """
    thumbnails = np.empty((len(rows), SIDE, SIDE), np.uint8)
    for start in range(0, len(rows), BLOCK):
        images = np.load(pixels, mmap_mode="r")  # a map of its own for each block: memory does not grow
        for place, row in enumerate(rows[start : start + BLOCK], start):
            grey = cv2.cvtColor(images[row], cv2.COLOR_RGB2GRAY)
            thumbnails[place] = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        progress(min(start + BLOCK, len(rows)), len(rows))
    return thumbnails


def find_copies(
    checksums: Sequence[str], thumbnails: NDArray[np.uint8], progress: Progress = lambda done, total: None
) -> list[Copy]:
    """Find what is in the data more than once.

    Every copy is joined to one earlier image: an exact one to the first of its bytes, a near one to
    another of its family. So all copies are named and all families are connected, in few pairs.

    Args:
        checksums: sha256 of each image file.
        thumbnails: uint8 (N, SIDE, SIDE), in the same order.
        progress: told how many images are compared with all before them.

    Returns:
        exact copies, then near ones.
    """
    first: dict[str, int] = {}
    copies = []
    for row, checksum in enumerate(checksums):
        other = first.setdefault(checksum, row)
        if other != row:
            copies.append(Copy(row, other, exact=True, detail=f"sha256 {checksum}"))
    rows = np.array([row for row in first.values() if thumbnails[row].std() >= FLAT], dtype=np.int64)
    return copies + _find_near_copies(rows, thumbnails, progress)


def _find_near_copies(
    rows: NDArray[np.int64], thumbnails: NDArray[np.uint8], progress: Progress
) -> list[Copy]:
    copies = []
    family = rows.copy()  # joined images share a number and need no further comparison
    for left, right, mirrored in _similar_pairs(rows, family, thumbnails, progress):
        row, other = int(rows[left]), int(rows[right])
        candidate = thumbnails[row][:, ::-1] if mirrored else thumbnails[row]
        correlation = aligned_correlation(thumbnails[other], candidate)
        if correlation >= MIN_CORRELATION:
            family[family == family[left]] = family[right]
            detail = f"correlation {correlation:.3f}" + (", mirrored" if mirrored else "")
            copies.append(Copy(row, other, exact=False, detail=detail))
    return copies


def _similar_pairs(
    rows: NDArray[np.int64], family: NDArray[np.int64], thumbnails: NDArray[np.uint8], progress: Progress
) -> Iterator[tuple[int, int, bool]]:
    """Yield places in `rows` of two images, the later one first, with similar hashes; whether mirrored.

    `family` is looked at while it grows: images that are of one family by then are left out, so that
    many copies of one picture cost no more than as many different ones.
    """
    hashes = np.zeros((2, len(rows)), np.uint64)
    for start in range(0, len(rows), BLOCK):
        stop = min(start + BLOCK, len(rows))
        block = thumbnails[rows[start:stop]]
        hashes[:, start:stop] = perceptual_hashes(block), perceptual_hashes(block[:, :, ::-1])
        for mirrored in (0, 1):
            bits = np.bitwise_count(hashes[mirrored, start:stop, None] ^ hashes[0, :stop])
            for left, similar in enumerate(bits <= MAX_BITS, start):
                others = np.flatnonzero(similar[:left])
                while len(others := others[family[others] != family[left]]):
                    yield left, int(others[0]), bool(mirrored)
                    others = others[1:]
        progress(stop, len(rows))


def perceptual_hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """64 bits per image that change little with size, compression and brightness.

    pHash (Zauner, 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", 3.2.1):
    which of the 8x8 lowest frequencies of the cosine transform, without the constant ones, are above
    their median.

    Args:
        thumbnails: uint8 (N, S, S).

    Returns:
        uint64 (N,).
    """
    size = thumbnails.shape[-1]
    waves = np.cos(np.pi / size * np.outer(np.arange(1, 9), np.arange(size) + 0.5)).astype(np.float32)
    spectra = (waves @ thumbnails.astype(np.float32) @ waves.T).reshape(-1, 64)
    bits = spectra > np.median(spectra, axis=1, keepdims=True)
    hashes: NDArray[np.uint64] = np.packbits(bits, axis=1).view(np.uint64)[:, 0]
    return hashes


def aligned_correlation(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Correlation of two thumbnails after moving, scaling and shearing the second to fit the first.

    ECC (Evangelidis & Psarakis, 2008, "Parametric Image Alignment Using Enhanced Correlation Coefficient
    Maximization"), on local contrast: otherwise the outline of the breast alone correlates highly.

    Args:
        first, second: uint8 (S, S).

    Returns:
        -1 to 1; 0 where no alignment is found, as they have too little in common.
    """
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 15, 1e-5)
    warp = np.eye(2, 3, dtype=np.float32)
    still, moved = _local_contrast(first), _local_contrast(second)
    everywhere = np.ones(still.shape, np.uint8)
    try:
        correlation, _ = cv2.findTransformECC(still, moved, warp, cv2.MOTION_AFFINE, stop, everywhere, 3)
    except cv2.error:
        return 0.0
    return float(correlation)


def _local_contrast(thumbnail: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey levels less their local mean, divided by their local deviation (5 more, to keep noise low)."""
    grey = thumbnail.astype(np.float32)
    sigma = len(grey) / 8
    centred = grey - cv2.GaussianBlur(grey, (0, 0), sigma)
    deviation = np.sqrt(cv2.GaussianBlur(np.square(centred), (0, 0), sigma) + 25)
    return np.asarray(centred / deviation, np.float32)
