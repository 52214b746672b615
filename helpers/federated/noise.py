"""Gaussian noise from the operating system's generator, which no seed repeats."""

import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

RandomBytes = Callable[[int], bytes]
"""Returns this many random bytes. Only tests use another one than `os.urandom`."""
CHUNK = 1 << 17
"""Pairs of numbers that are drawn at a time, which bounds the memory."""


def gaussian_noise(size: int, random_bytes: RandomBytes = os.urandom) -> NDArray[np.float32]:
    """Return independent standard normal numbers, float32 (size,), by Box and Muller 1958.

    Each is made from 53 random bits, so none is beyond 8.6 in absolute value.
    """
    noise = np.empty(size + size % 2, np.float32)
    for start in range(0, len(noise), 2 * CHUNK):
        part = noise[start : start + 2 * CHUNK].reshape(2, -1)
        bits = np.frombuffer(random_bytes(8 * part.size), np.uint64).reshape(part.shape)
        uniform = ((bits >> np.uint64(11)) + 1) * 2.0**-53  # in (0, 1]
        radius, angle = np.sqrt(-2 * np.log(uniform[0])), 2 * np.pi * uniform[1]
        np.multiply(radius, np.cos(angle), out=part[0], casting="same_kind")
        np.multiply(radius, np.sin(angle), out=part[1], casting="same_kind")
    return noise[:size]


def drawn(count: int, rate: float, random_bytes: RandomBytes = os.urandom) -> NDArray[np.bool_]:
    """Return whether each of `count` units is drawn, each with probability `rate` on its own (Poisson
    sampling).
    """
    bits = np.frombuffer(random_bytes(8 * count), np.uint64) >> np.uint64(11)
    return bits < rate * 2.0**53
