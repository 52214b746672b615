"""Image similarity of small gray pictures: three measures, each slower and more reliable than the last.

Comparing two perceptual hashes takes nanoseconds, two coarse contrasts a microsecond, and the correlation
after alignment a millisecond.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

GRID = 12  # cells per side of the coarse contrast
BLACK_LEVELS = 4  # gray levels above the darkest pixel that belong to the black around a breast
MIN_INSIDE = 0.8  # correlation of what is inside, below which outlines alone are alike


def perceptual_hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return 64 bits per image that change little with size, compression and brightness.

    pHash (Zauner, 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", 3.2.1): one bit
    for each of the 8x8 lowest frequencies of the cosine transform, without the constant ones, set if it is
    above their median.

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


def coarse_contrasts(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the local contrast in a few cells; the scalar product of two results is their correlation.

    Args:
        thumbnails: uint8 (N, S, S), S a multiple of GRID.

    Returns:
        float32 (N, GRID, GRID), each of mean 0 and length 1; about 0 without contrast.
    """
    cells = np.empty((len(thumbnails), GRID, GRID), np.float32)
    for place, thumbnail in enumerate(thumbnails):
        cv2.resize(_local_contrast(thumbnail), (GRID, GRID), dst=cells[place], interpolation=cv2.INTER_AREA)
    cells -= cells.mean(axis=(1, 2), keepdims=True)
    lengths = np.sqrt(np.square(cells).sum(axis=(1, 2), keepdims=True))
    unit: NDArray[np.float32] = cells / np.maximum(lengths, 1e-3)
    return unit


def aligned_correlation(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Return the correlation of two thumbnails after an affine alignment of the second to the first.

    ECC (Evangelidis & Psarakis, 2008, "Parametric Image Alignment Using Enhanced Correlation Coefficient
    Maximization"), on local contrast. Two breasts in black correlate by their outline alone, so what is
    inside has to agree too.

    Args:
        first, second: uint8 (S, S).

    Returns:
        -1 to 1, at most the correlation of the insides if that is below MIN_INSIDE; 0 if they have too little
        in common to be aligned.
    """
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 15, 1e-5)
    start = np.eye(2, 3, dtype=np.float32)
    still, moved = _local_contrast(first), _local_contrast(second)
    everywhere = np.ones(still.shape, np.uint8)
    try:
        correlation, warp = cv2.findTransformECC(still, moved, start, cv2.MOTION_AFFINE, stop, everywhere, 3)
    except cv2.error:
        return 0.0
    aligned = cv2.warpAffine(second, warp, still.shape, flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR)
    inside = _inside_correlation(first, np.asarray(aligned, np.uint8))
    return float(correlation if inside >= MIN_INSIDE else min(inside, correlation))


def _inside_correlation(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Return the correlation of the local contrasts where neither thumbnail is black around the breast."""
    inside = _inside(first) * _inside(second)
    one, other = (_local_contrast(thumbnail, inside)[inside > 0] for thumbnail in (first, second))
    one, other = one - one.mean(), other - other.mean()
    return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum() + 1e-9))


def _inside(thumbnail: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return 0 for the darkest pixels that are connected with the border, and for their neighbors; else 1."""
    dark = (thumbnail <= int(thumbnail.min()) + BLACK_LEVELS).astype(np.uint8)
    framed = cv2.copyMakeBorder(dark, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    cv2.floodFill(framed, None, (0, 0), 2)
    outside = cv2.dilate((framed == 2).astype(np.uint8), np.ones((3, 3), np.uint8))[1:-1, 1:-1]
    return 1 - outside.astype(np.float32)


def _local_contrast(
    thumbnail: NDArray[np.uint8], inside: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return gray levels minus their local mean, divided by their local deviation; +25 limits noise.

    `inside` has weights of the pixels, by default 1.
    """
    gray = thumbnail.astype(np.float32)
    weights = np.ones_like(gray) if inside is None else inside
    sigma = len(gray) / 8
    share = np.maximum(cv2.GaussianBlur(weights, (0, 0), sigma), 1e-3)
    centered = gray - cv2.GaussianBlur(gray * weights, (0, 0), sigma) / share
    deviation = np.sqrt(cv2.GaussianBlur(np.square(centered) * weights, (0, 0), sigma) / share + 25)
    return np.asarray(centered / deviation, np.float32)
