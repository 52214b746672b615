"""Image similarity of small gray pictures: three measures, each slower and more reliable than the last.

Comparing two perceptual hashes takes nanoseconds, two coarse contrasts a microsecond, and the correlation
after alignment a millisecond.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

GRID = 12  # cells per side of the coarse contrast


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
    Maximization"), on local contrast: otherwise the outline of the breast alone correlates highly.

    Args:
        first, second: uint8 (S, S).

    Returns:
        -1 to 1; 0 if they have too little in common to be aligned.
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
    """Return gray levels minus their local mean, divided by their local deviation; +25 limits noise."""
    gray = thumbnail.astype(np.float32)
    sigma = len(gray) / 8
    centered = gray - cv2.GaussianBlur(gray, (0, 0), sigma)
    deviation = np.sqrt(cv2.GaussianBlur(np.square(centered), (0, 0), sigma) + 25)
    return np.asarray(centered / deviation, np.float32)
