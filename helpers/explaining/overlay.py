"""An image beside itself under heat, in colors that the color-blind can tell apart."""

import cv2
import numpy as np
from numpy.typing import NDArray

# Brightness rises evenly along viridis, so it reads in gray too (Nuñez, Anderton & Renslow 2018).
COLOURS = cv2.COLORMAP_VIRIDIS
STRONGEST = 0.6  # so that the image still shows where the heat is greatest


def beside_heat(image: NDArray[np.uint8], heatmap: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Put an image and, to its right, the same under its heat into one picture.

    Args:
        image: uint8 (H, W, 3) RGB or (H, W, 1) gray.
        heatmap: float32 (H, W), in [0, 1].

    Returns:
        uint8 (H, 2 W, 3), RGB.

    Raises:
        ValueError: the shapes do not fit.
    """
    if image.shape[-1] == 1:
        image = np.repeat(image, 3, axis=-1)
    return np.concatenate([image, overlay(image, heatmap)], axis=1)


def overlay(image: NDArray[np.uint8], heatmap: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay heat over an image: none where it is 0, the more the hotter.

    Args:
        image: uint8 (H, W, 3), RGB.
        heatmap: float32 (H, W), in [0, 1].

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        ValueError: the shapes do not fit.
    """
    if image.shape != (*heatmap.shape, 3):
        raise ValueError(f"heatmap {heatmap.shape} does not fit image {image.shape}")
    levels = np.rint(heatmap.clip(0, 1) * 255).astype(np.uint8)
    colors = cv2.cvtColor(cv2.applyColorMap(levels, COLOURS), cv2.COLOR_BGR2RGB)
    strength = STRONGEST * heatmap.clip(0, 1)[..., None]
    mixed: NDArray[np.uint8] = np.rint((1 - strength) * image + strength * colors).astype(np.uint8)
    return mixed
