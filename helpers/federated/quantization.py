"""Quantization of float32 arrays to 255 levels: int8 and one scale per array."""

import numpy as np
from numpy.typing import NDArray

from helpers.federated.weights import SchemaError

LEVELS = np.float32(127)
"""The largest level; the range is symmetric, without −128."""
LARGEST_SCALE = np.finfo(np.float32).max / LEVELS


def quantize(array: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return int8 levels −127…127 of the shape of `array`, and the float32 scale () they are multiples of.

    The largest |value| becomes ±127; an array of zeros has the scale 0. No value is off by more than
    half a scale.
    """
    scale = np.max(np.abs(array), initial=np.float32(0)) / LEVELS
    if scale == 0:
        return np.zeros(array.shape, np.int8), np.zeros((), np.float32)
    levels = np.clip(np.rint(array / scale), -LEVELS, LEVELS).astype(np.int8)
    return levels, np.asarray(scale, np.float32)


def dequantize(name: str, levels: NDArray[np.generic], scale: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return levels × scale, float32.

    Raises:
        SchemaError: a level or scale that `quantize` does not produce, with the array's `name`.
    """
    check_quantized(name, levels, scale)
    array: NDArray[np.float32] = np.multiply(levels, scale, dtype=np.float32)
    return array


def check_quantized(name: str, levels: NDArray[np.generic], scale: NDArray[np.generic]) -> None:
    """Refuse levels and a scale that `quantize` does not produce.

    Raises:
        SchemaError: naming the array.
    """
    if not 0 <= float(scale) <= LARGEST_SCALE:  # NaN is not
        raise SchemaError(f"{name}: the scale {scale} must be a number from 0 to {LARGEST_SCALE:.3g}")
    if (levels == -128).any():
        raise SchemaError(f"{name}: a level of -128, the range is -127 to 127")
