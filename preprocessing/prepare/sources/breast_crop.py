"""The breast of a mammogram, without black border and burnt-in letters."""

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 512  # pixels of the longer side on which the breast is looked for
BLUR = 4.0  # pixels of those: grain and scratches go
BRIGHT = 0.08  # of white; film and detector outside the breast are darker
THIN = 25  # pixels of those: letters and the edges of films are thinner, a breast is not


def crop_breast(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], str]:
    """Cut out the largest bright area that is no lettering, and blacken what else is within its bounds.

    Args:
        image: uint8 (H, W), the breast brighter than what is around it.

    Returns:
        uint8 (h, w); what was kept, in words. The whole image where nothing is bright enough.
    """
    height, width = image.shape
    scale = min(1.0, SIDE / max(height, width))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    bright = (cv2.GaussianBlur(small, (0, 0), BLUR) > BRIGHT * 255).astype(np.uint8)
    # A dark frame, so that bright edges of the film are taken for the thin things they are.
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
