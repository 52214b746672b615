"""The breast of a mammogram, without black border and burned-in letters."""

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 512  # pixels of the longer side of the reduced image in which the breast is searched
BLUR = 4.0  # reduced pixels: removes grain and scratches
BRIGHT = 0.08  # fraction of white; film and detector outside the breast are darker
THIN = 25  # reduced pixels: letters and film edges are thinner than this, a breast is not


def crop_breast(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], str]:
    """Cut out the largest bright area thicker than lettering, and blacken the rest within its bounds.

    Args:
        image: uint8 (H, W), the breast brighter than its surroundings.

    Returns:
        uint8 (h, w), and a description of the part kept. The whole image where nothing is bright enough.
    """
    height, width = image.shape
    scale = min(1.0, SIDE / max(height, width))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    bright = (cv2.GaussianBlur(small, (0, 0), BLUR) > BRIGHT * 255).astype(np.uint8)
    # Opening regards everything outside an image as bright; in a dark frame, film edges stay thin.
    framed = cv2.copyMakeBorder(bright, THIN, THIN, THIN, THIN, cv2.BORDER_CONSTANT, value=0)
    opened = cv2.morphologyEx(framed, cv2.MORPH_OPEN, np.ones((THIN, THIN), np.uint8))[THIN:-THIN, THIN:-THIN]
    outlines, _ = cv2.findContours(np.ascontiguousarray(opened), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return image, "no breast found, the whole image is kept"
    breast = np.zeros_like(small)
    cv2.drawContours(breast, [max(outlines, key=cv2.contourArea)], -1, 255, cv2.FILLED)
    mask = cv2.resize(breast, (width, height), interpolation=cv2.INTER_NEAREST)
    left, top, across, down = cv2.boundingRect(mask)
    kept = (slice(top, top + down), slice(left, left + across))
    words = (
        f"rows {top} to {top + down - 1} and columns {left} to {left + across - 1} of {height}x{width} kept"
    )
    return np.where(mask[kept] > 0, image[kept], np.uint8(0)), words
