"""What the header of an image file says and OpenCV does not follow: pages, orientation, white, inversion.

OpenCV reads the first page without a word, leaves the orientation of JPEG, PNG and WebP, multiplies the
colors of an 8-bit TIFF by its alpha, and does not invert 16-bit TIFF whose white is 0.
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from preprocessing.prepare.sources.records import UnreadableImageError
from preprocessing.prepare.sources.tiff_header import TIFF_MARKS, exif_orientation, read_tiff_header

DEEP = 65535  # white of 16-bit files that state no other


class Header(NamedTuple):
    """How to decode a file and what to do afterwards.

    Attributes:
        data: the bytes for OpenCV.
        orientation: EXIF orientation, 1 to 8, that the decoder leaves.
        white: the value of white, if it is not that of the type.
        is_inverted: whether 0 is white.
    """

    data: bytes
    orientation: int = 1
    white: int | None = None
    is_inverted: bool = False


def read_header(data: bytes) -> Header:
    """Return how to decode a PNG, JPEG, BMP, TIFF, PGM, GIF or WebP file.

    Raises:
        UnreadableImageError: another kind of file, several images in one, or a form that would be misread.
    """
    if data.startswith(TIFF_MARKS):
        tiff = read_tiff_header(data)
        return Header(tiff.data, white=tiff.white, is_inverted=tiff.is_inverted)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return Header(data, _png_orientation(data))
    if data.startswith(b"\xff\xd8\xff"):
        return Header(data, _jpeg_orientation(data))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Header(data, _webp_orientation(data))
    if data[:6] in (b"GIF87a", b"GIF89a"):
        if (count := _gif_images(data)) > 1:
            raise UnreadableImageError(f"animated, {count} images; save single images")
        return Header(data)
    if re.match(rb"P[1-6]\s", data):
        return Header(data, white=_pnm_white(data))
    if data.startswith(b"BM"):
        return Header(data)
    raise UnreadableImageError("damaged, or not an image")


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an image as its EXIF orientation says, so that its top is up."""
    if orientation >= 5:  # the stored rows are columns
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _png_orientation(data: bytes) -> int:
    orientation = 1
    for name, content in _chunks(data, 8, ">"):
        if name == b"acTL" and int.from_bytes(content[:4], "big") > 1:
            count = int.from_bytes(content[:4], "big")
            raise UnreadableImageError(f"animated, {count} images; save single images")
        if name == b"eXIf":
            orientation = exif_orientation(content)
    return orientation


def _webp_orientation(data: bytes) -> int:
    orientation = 1
    for name, content in _chunks(data, 12, "<"):
        if name in (b"ANIM", b"ANMF"):
            raise UnreadableImageError("animated, several images; save single images")
        if name == b"EXIF":
            orientation = exif_orientation(content.removeprefix(b"Exif\0\0"))
    return orientation


def _chunks(data: bytes, start: int, order: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield names and contents of the chunks of a PNG (order `>`) or WebP (`<`) file."""
    while start + 8 <= len(data):
        if order == ">":
            length, name = struct.unpack_from(">I4s", data, start)
            following = start + 12 + length
        else:
            name, length = struct.unpack_from("<4sI", data, start)
            following = start + 8 + length + length % 2
        yield name, data[start + 8 : start + 8 + length]
        start = following


def _jpeg_orientation(data: bytes) -> int:
    orientation, has_adobe, start = 0, False, 2
    while start + 4 <= len(data) and data[start] == 0xFF:
        marker = data[start + 1]
        if marker == 0xFF:  # fill byte
            start += 1
            continue
        length = int.from_bytes(data[start + 2 : start + 4], "big")
        content = data[start + 4 : start + 2 + length]
        if marker == 0xDA:  # the pixels follow
            break
        if marker == 0xE1 and content.startswith(b"Exif\0") and not orientation:
            orientation = exif_orientation(content[6:])
        has_adobe |= marker == 0xEE and content.startswith(b"Adobe")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(content) > 5:
            if content[0] != 8:
                raise UnreadableImageError(f"JPEG of {content[0]} bits, expected 8; convert it to PNG")
            if content[5] == 4 and not has_adobe:
                raise UnreadableImageError("CMYK without Adobe's marker; convert it to RGB or gray")
        start += 2 + length
    return orientation or 1


def _gif_images(data: bytes) -> int:
    """Return the number of images in a GIF file."""

    def table(flags: int) -> int:
        return 3 << ((flags & 7) + 1) if flags & 0x80 else 0

    count, start = 0, 13 + table(data[10] if len(data) > 10 else 0)
    while start < len(data) and data[start] in (0x21, 0x2C):
        is_image = data[start] == 0x2C
        count += is_image
        start += 11 + table(data[start + 9]) if is_image and start + 9 < len(data) else 2
        while start < len(data) and data[start]:
            start += data[start] + 1
        start += 1
    return count


def _pnm_white(data: bytes) -> int | None:
    """Return the value of white of a PGM or PPM file, None if it is that of the type."""
    token = rb"(?:\s|#[^\n]*\n)+(\d+)"
    fields = re.match(rb"P([2356])" + token * 3 + rb"\s", data)
    if not fields:
        return None
    white = int(fields[4])
    if not 0 < white <= DEEP:
        raise UnreadableImageError(f"white is {white}, expected 1 to {DEEP}")
    if fields[1] in b"56":
        channels, depth = (3 if fields[1] == b"6" else 1), (2 if white > 255 else 1)
        rest = data[fields.end() + int(fields[2]) * int(fields[3]) * channels * depth :]
        if re.match(rb"\s*P[1-7]\s", rest):
            raise UnreadableImageError("several images in one file; save single images")
    is_scaled = fields[1] in b"23" and white < 255  # OpenCV stretches levels that are written as text
    return None if is_scaled or white in (255, DEEP) else white
