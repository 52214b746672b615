"""The header of a TIFF file, and the orientation in the EXIF data of others, which has the same form."""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from preprocessing.prepare.sources.records import UnreadableImageError

TIFF_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # of the tags that are read
TEXT = 2
REDUCED, MASK = 1, 4  # bits of the tag NewSubfileType
MOST_PAGES = 1000
# Numbers of tags.
SUBFILE, BITS, PHOTOMETRIC, DESCRIPTION, ORIENTATION, SAMPLES, EXTRA, FORMAT = (
    254, 258, 262, 270, 274, 277, 338, 339,
)  # fmt: skip
READ = (SUBFILE, BITS, PHOTOMETRIC, DESCRIPTION, ORIENTATION, SAMPLES, EXTRA, FORMAT)
ASSOCIATED, UNASSOCIATED = 1, 2
COLOR_MODELS = {
    0: "gray", 1: "gray", 2: "RGB", 3: "palette", 4: "transparency mask", 5: "CMYK", 6: "YCbCr", 8: "Lab",
    9: "ICC Lab", 10: "ITU Lab", 32803: "color filter array", 32844: "LogL", 32845: "LogLuv", 34892: "raw",
}  # fmt: skip
BITS_READ = {"gray": (1, 8, 10, 12, 14, 16), "RGB": (8, 16), "palette": (4, 8), "CMYK": (8,), "YCbCr": (8,)}
SAMPLES_OF = {"gray": 1, "RGB": 3, "palette": 1, "CMYK": 4, "YCbCr": 3}
FORMATS = {2: "int", 3: "float", 5: "complex int", 6: "complex"}


class TiffHeader(NamedTuple):
    """How to read a TIFF file; see `Header`."""

    data: bytes
    white: int | None
    is_inverted: bool


class Tag(NamedTuple):
    """The values of a tag, and the place of its entry in the file."""

    values: tuple[int, ...]
    place: int


Page = dict[int, Tag]


def read_tiff_header(data: bytes) -> TiffHeader:
    """Check that OpenCV reads a TIFF file as its header says.

    Raises:
        UnreadableImageError: several pages, or a form that would be misread.
    """
    pages = list(_pages(data))
    if not pages:
        raise UnreadableImageError("damaged, or not an image")
    kinds = [_first(page, SUBFILE, 0) for page in pages]
    full = [kind for kind in kinds if not kind & (REDUCED | MASK)]
    page = pages[0]
    stacked = re.search(rb"(?m)^images=(\d+)", _text(data, page)) if DESCRIPTION in page else None
    count = max(len(full), int(stacked[1]) if stacked else 1)
    if count > 1:
        raise UnreadableImageError(f"{count} pages, expected one; save single images")
    if full and kinds[0] & (REDUCED | MASK):
        raise UnreadableImageError("the first page is only a preview or mask; save the image alone")
    return _checked(data, page)


def exif_orientation(data: bytes) -> int:
    """Return the orientation of EXIF data, 1 to 8; 1 if there is none."""
    if not data.startswith(TIFF_MARKS[:2]):
        return 1
    page = next(_pages(data), {})
    orientation = _first(page, ORIENTATION, 1)
    return orientation if 1 <= orientation <= 8 else 1


def _checked(data: bytes, page: Page) -> TiffHeader:
    samples = _first(page, SAMPLES, 1)
    photometric = _first(page, PHOTOMETRIC, 2 if samples >= 3 else 1)
    model = COLOR_MODELS.get(photometric, f"color model {photometric}")
    bits = set(page[BITS].values if BITS in page else ()) or {1}
    depth = max(bits)
    if (kind := _first(page, FORMAT, 1)) in FORMATS:
        raise UnreadableImageError(f"pixels are {FORMATS[kind]}{depth}, expected 8 or 16 bit whole numbers")
    if model not in SAMPLES_OF:
        raise UnreadableImageError(f"colors are {model}, expected gray or RGB; convert it")
    if len(bits) > 1 or depth not in BITS_READ[model]:
        expected = ", ".join(map(str, BITS_READ[model]))
        raise UnreadableImageError(f"{model} of {depth} bits, expected {expected}; convert it")
    extra = samples - SAMPLES_OF[model]
    is_gray_alpha = model == "gray" and extra == 1 and depth == 8 and photometric == 1
    if extra and not is_gray_alpha and (model, extra) != ("RGB", 1):
        raise UnreadableImageError(f"{model} with {samples} channels of {depth} bits; save it without alpha")
    if extra and (alpha := page.get(EXTRA)):
        if alpha.values[:1] == (ASSOCIATED,):
            raise UnreadableImageError("colors are multiplied by alpha; save it without alpha")
        if alpha.values[:1] == (UNASSOCIATED,) and model == "RGB":
            data = _replace_value(data, alpha.place, ASSOCIATED)  # then libtiff leaves the colors
    white = ((1 << depth) - 1) << (16 - depth) if 8 < depth < 16 else None  # OpenCV shifts to the left
    return TiffHeader(data, white, is_inverted=photometric == 0 and depth > 8)


def _pages(data: bytes) -> Iterator[Page]:
    """Yield the tags of every page, as far as the file goes."""
    order = "<" if data[:2] == b"II" else ">"
    is_big = data[2:4] in (b"+\0", b"\0+")
    word, number, entry = ("Q", "Q", "HHQ") if is_big else ("I", "H", "HHI")
    size, room = struct.calcsize(order + entry), 8 if is_big else 4
    seen: set[int] = set()
    try:
        (start,) = struct.unpack_from(order + word, data, 8 if is_big else 4)
        while start and start not in seen and len(seen) < MOST_PAGES:
            seen.add(start)
            (count,) = struct.unpack_from(order + number, data, start)
            place = start + struct.calcsize(order + number)
            page: Page = {}
            for _ in range(count):
                tag, kind, amount = struct.unpack_from(order + entry, data, place)
                if tag in READ:
                    page[tag] = Tag(_values(data, order, kind, amount, place + size, room, word), place)
                place += size + room
            yield page
            (start,) = struct.unpack_from(order + word, data, place)
    except (struct.error, OverflowError):
        return


def _values(
    data: bytes, order: str, kind: int, amount: int, place: int, room: int, word: str
) -> tuple[int, ...]:
    """Return the first values of a tag; of text, its place and length."""
    if kind == TEXT:
        if amount > room:
            (place,) = struct.unpack_from(order + word, data, place)
        return place, amount
    if kind not in TYPES:
        return ()
    if amount * struct.calcsize(order + TYPES[kind]) > room:
        (place,) = struct.unpack_from(order + word, data, place)
    return struct.unpack_from(f"{order}{min(amount, 8)}{TYPES[kind]}", data, place)


def _first(page: Page, tag: int, default: int) -> int:
    values = page[tag].values if tag in page else ()
    return values[0] if values else default


def _text(data: bytes, page: Page) -> bytes:
    values = page[DESCRIPTION].values
    return data[values[0] : values[0] + min(values[1], 4096)] if len(values) == 2 else b""


def _replace_value(data: bytes, place: int, value: int) -> bytes:
    """Replace the single 16-bit value of the tag at `place`."""
    order = "<" if data[:2] == b"II" else ">"
    start = place + (12 if data[2:4] in (b"+\0", b"\0+") else 8)
    return data[:start] + struct.pack(f"{order}H", value) + data[start + 2 :]
