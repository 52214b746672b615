"""The gray levels of a DICOM image as its header says to display them (PS3.3 C.7.6.3, C.11.1 and C.11.2)."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from preprocessing.prepare.sources.records import UnreadableImageError

if TYPE_CHECKING:
    from pydicom import Dataset

PERCENTILES = (1.0, 99.5)  # black and white of an image whose header has no window
GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
TRANSFORMATIONS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"


def is_mask(image: "Dataset") -> bool:
    """Return whether a file is a segmentation, or calls itself a mask, as those of CBIS-DDSM do."""
    described = f"{image.get('SeriesDescription', '')} {image.get('ImageType', '')}".casefold()
    return image.get("SOPClassUID") == SEGMENTATION or "mask" in described or image.get("Modality") == "SEG"


def stored_values(pixels: NDArray[Any], image: "Dataset") -> NDArray[Any]:
    """Return the stored values without other bits of their words, such as overlays in old files.

    Raises:
        UnreadableImageError: the values are not in the lowest bits of their words.
    """
    stored = int(image.BitsStored)
    if image.file_meta.TransferSyntaxUID.is_compressed or pixels.dtype.kind not in "iu":
        return pixels
    if (high := int(image.get("HighBit", stored - 1))) != stored - 1:
        raise UnreadableImageError(f"its high bit is {high}, expected {stored - 1}; export it again")
    spare = 8 * pixels.itemsize - stored
    words: NDArray[Any] = (pixels << spare) >> spare  # keeps the sign, if there is one
    return words


def displayed_gray(pixels: NDArray[Any], image: "Dataset") -> NDArray[np.uint8]:
    """Return gray levels 0-255 by the header's rescaling and its VOI table or window.

    Without either, 8-bit images stay as they are and others are scaled by percentiles. Padding is black. The
    mapping is computed per gray level, not per pixel: a mammogram has twenty million pixels.

    Raises:
        UnreadableImageError: a presentation table, which is not followed.
    """
    is_inverted = image.PhotometricInterpretation == "MONOCHROME1"
    if image.get("PresentationLUTSequence") or (
        image.get("PresentationLUTShape") == "INVERSE" and not is_inverted
    ):
        raise UnreadableImageError("its presentation table is not read; export it with the table applied")
    _take_transformations(image)
    low, high = int(pixels.min()), int(pixels.max())
    levels = np.arange(low, high + 1)
    padding = _is_padding(levels, image)
    shown = _levels(levels, pixels, padding, image)
    if is_inverted:
        shown = 255 - shown
    shown[padding] = 0
    return shown[np.subtract(pixels, low, dtype=np.int32)]


def _levels(
    levels: NDArray[Any], pixels: NDArray[Any], padding: NDArray[np.bool_], image: "Dataset"
) -> NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    values = apply_modality_lut(levels, image)
    if image.get("VOILUTSequence"):
        values = apply_voi_lut(np.rint(values).astype(np.int64), image)
        black, white = 0.0, 2.0 ** image.VOILUTSequence[0].LUTDescriptor[2] - 1
    elif image.get("WindowWidth") is not None and image.get("WindowCenter") is not None:
        values = apply_voi_lut(values, image)
        black, white = apply_voi_lut(np.array([-np.inf, np.inf]), image)
    elif image.BitsStored <= 8 and not image.PixelRepresentation:
        if image.get("ModalityLUTSequence"):
            black, white = 0.0, 2.0 ** image.ModalityLUTSequence[0].LUTDescriptor[2] - 1
        else:
            ends = apply_modality_lut(np.array([0, 2**image.BitsStored - 1]), image)
            black, white = sorted(map(float, ends))  # a negative slope inverts
    else:
        counted = pixels
        if padding.any() and not padding.all():
            counted = pixels[~padding[np.subtract(pixels, levels[0], dtype=np.int32)]]
        ends = np.interp(np.percentile(counted, PERCENTILES), levels, values)
        black, white = sorted(map(float, ends))
    span = (white - black) or 1.0
    return np.rint(np.clip((values - black) / span, 0, 1) * 255).astype(np.uint8)


def _is_padding(levels: NDArray[Any], image: "Dataset") -> NDArray[np.bool_]:
    """Return which levels are padding around the image (PixelPaddingValue, to PixelPaddingRangeLimit)."""
    value = image.get("PixelPaddingValue")
    if not isinstance(value, int):
        return np.zeros(len(levels), bool)
    limit = image.get("PixelPaddingRangeLimit")
    low, high = sorted((value, limit if isinstance(limit, int) else value))
    inside: NDArray[np.bool_] = (levels >= low) & (levels <= high)
    return inside


def _take_transformations(image: "Dataset") -> None:
    """Copy rescaling and window of an enhanced image, which has them in sequences, to its top."""
    for group in GROUPS:
        for item in list(image.get(group) or [])[:1]:
            for name in TRANSFORMATIONS:
                for transformation in list(item.get(name) or [])[:1]:
                    for element in transformation:
                        if element.tag not in image:
                            image.add(element)
