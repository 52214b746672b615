"""Overlay of a heatmap on an image, in a color map that is safe for color-blind readers."""

import cv2
import numpy as np
from numpy.typing import NDArray

# The brightness of viridis rises evenly, so it also works in gray (Nuñez, Anderton & Renslow 2018).
COLORS = cv2.COLORMAP_VIRIDIS
STRONGEST = 0.6  # so that the image stays visible at the maximum


def with_heatmap(image: NDArray[np.uint8], heatmap: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return an image with a copy under its heatmap to the right.

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
    """Blend a heatmap into an image, in proportion to the heat.

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
    colors = cv2.cvtColor(cv2.applyColorMap(levels, COLORS), cv2.COLOR_BGR2RGB)
    strength = STRONGEST * heatmap.clip(0, 1)[..., None]
    mixed: NDArray[np.uint8] = np.rint((1 - strength) * image + strength * colors).astype(np.uint8)
    return mixed
