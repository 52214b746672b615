"""What we read, compared with Pillow over formats, bit depths, color models, orientations and pages."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from preprocessing.prepare.sources.image_folder import read_image
from preprocessing.prepare.sources.records import UnreadableImageError

HEIGHT, WIDTH = 12, 20
RAMP = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * 255 // (HEIGHT * WIDTH - 1)).astype(np.uint8)
RGB = np.dstack([RAMP, 255 - RAMP, RAMP // 2 + 30]).astype(np.uint8)
ALPHA = np.where(np.arange(WIDTH) < 8, 255, 90).astype(np.uint8) * np.ones((HEIGHT, 1), np.uint8)


def read(tmp_path, data, suffix=".tif", size=(HEIGHT, WIDTH)):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    return read_image(path, (*size, 3)).pixels


def tiff(samples, photometric, bits, order="<", big=False, pages=1, **tags):
    """Return a TIFF file, uncompressed, of `samples` (H, W, C), whose values have `bits` bits."""
    height, width, channels = samples.shape
    if bits in (8, 16, 32):
        pixels = samples.astype(f"{order}{samples.dtype.kind}{bits // 8}").tobytes()
    else:
        planes = samples.reshape(height, -1)[..., None] >> np.arange(bits)[::-1] & 1
        pixels = np.packbits(planes.reshape(height, -1).astype(np.uint8), axis=1).tobytes()
    head, word, number, entry, count = (16, "Q", "Q", "HHQ", 20) if big else (8, "I", "H", "HHI", 12)
    names = {"extra": 338, "format": 339, "orientation": 274, "palette": 320, "subfile": 254, "text": 270}
    values = {
        256: [width], 257: [height], 258: [bits] * channels, 259: [1], 262: [photometric], 273: [head],
        277: [channels], 278: [height], 279: [len(pixels)],
    } | {names[name]: value for name, value in tags.items()}  # fmt: skip
    body, entries = head + len(pixels), []
    blobs = b""
    for tag, items in sorted(values.items()):
        kind, form = (2, "B") if isinstance(items, bytes) else (3, "H")
        raw = struct.pack(f"{order}{len(items)}{form}", *items)
        if len(raw) > count - 8 - (4 if big else 0):
            at, blobs = body + len(blobs), blobs + raw + b"\0" * (len(raw) % 2)
            raw = struct.pack(order + word, at)
        entries.append(struct.pack(order + entry, tag, kind, len(items)) + raw.ljust(8 if big else 4, b"\0"))
    ifd = struct.pack(order + number, len(entries)) + b"".join(entries)
    first = body + len(blobs) + (len(blobs) + body) % 2
    size = len(ifd) + struct.calcsize(order + word)
    chain = b"".join(
        ifd + struct.pack(order + word, first + (page + 1) * size if page + 1 < pages else 0)
        for page in range(pages)
    )
    mark = b"II" if order == "<" else b"MM"
    version = struct.pack(f"{order}HHH", 43, 8, 0) if big else struct.pack(f"{order}H", 42)
    return (mark + version + struct.pack(order + word, first) + pixels + blobs).ljust(first, b"\0") + chain


def pillow(data):
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):
            return np.dstack([np.rint(np.asarray(upright) / 257)] * 3)
        return np.asarray(upright.convert("RGB"))


def written(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


GRAY = RAMP[..., None]
PALETTE = [257 * level for step in (7, 255, 1) for level in (i * step % 256 for i in range(256))]
TIFFS = {
    "gray 8": tiff(GRAY, 1, 8),
    "gray 8, white is 0": tiff(GRAY, 0, 8),
    "gray 1": tiff(GRAY >> 7, 1, 1),
    "gray 1, white is 0": tiff(GRAY >> 7, 0, 1),
    "gray 16": tiff(GRAY.astype(np.uint16) * 257, 1, 16),
    "gray 16, big endian": tiff(GRAY.astype(np.uint16) * 257, 1, 16, ">"),
    "RGB 8": tiff(RGB, 2, 8),
    "RGB 16": tiff(RGB.astype(np.uint16) * 257, 2, 16),
    "BigTIFF": tiff(RGB, 2, 8, big=True),
    "palette 8": tiff(GRAY, 3, 8, palette=PALETTE),
    "palette 4": tiff(GRAY >> 4, 3, 4, palette=[PALETTE[c * 256 + i] for c in range(3) for i in range(16)]),
    "CMYK": tiff(np.dstack([RGB, RAMP // 3]), 5, 8),
    "RGBA 8, unassociated": tiff(np.dstack([RGB, ALPHA]), 2, 8, extra=[2]),
    "RGBA 8, unassociated, big endian": tiff(np.dstack([RGB, ALPHA]), 2, 8, ">", extra=[2]),
    "RGBA 8, unspecified": tiff(np.dstack([RGB, ALPHA]), 2, 8, extra=[0]),
    "RGBA 16, unassociated": tiff(np.dstack([RGB, ALPHA]).astype(np.uint16) * 257, 2, 16, extra=[2]),
    "gray and alpha": tiff(np.dstack([RAMP, ALPHA]), 1, 8, extra=[2]),
    **{f"orientation {n}, 8 bit": tiff(GRAY, 1, 8, orientation=[n]) for n in range(1, 9)},
    **{
        f"orientation {n}, RGB 16 bit": tiff(RGB.astype(np.uint16) * 257, 2, 16, orientation=[n])
        for n in range(1, 9)
    },
    **{
        name: written(Image.fromarray(RGB), "TIFF", compression=name)
        for name in ("tiff_lzw", "tiff_deflate", "packbits")
    },
}


@pytest.mark.parametrize("name", TIFFS)
def test_tiff_is_read_as_pillow_reads_it(tmp_path, name):
    expected = pillow(TIFFS[name])
    seen = read(tmp_path, TIFFS[name], size=expected.shape[:2])
    assert np.abs(seen.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("share", [1.0, 0.05])
def test_deep_gray_levels_are_fractions_of_white(tmp_path, bits, photometric, share):
    levels = np.rint(GRAY / 255 * share * ((1 << bits) - 1)).astype(np.uint16)
    white = 4095 if bits == 16 and share < 1 else (1 << bits) - 1  # 12 bits in 16
    expected = levels[..., 0] / white * 255
    seen = read(tmp_path, tiff(levels, photometric, bits))[..., 0]
    assert np.abs(seen - (expected if photometric else 255 - expected)).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("number", range(1, 9))
def test_the_orientation_of_exif_is_followed_in_all_formats(tmp_path, kind, number):
    exif = Image.Exif()
    exif[0x112] = number
    smooth = Image.fromarray(np.dstack([RAMP] * 3))
    data = written(smooth, kind, exif=exif, **({} if kind == "PNG" else {"quality": 100}))
    expected = pillow(data)
    seen = read(tmp_path, data, ".png", expected.shape[:2])
    assert np.abs(seen.astype(int) - expected).max() <= 4
    assert expected.shape == ((WIDTH, HEIGHT, 3) if number > 4 else (HEIGHT, WIDTH, 3))


@pytest.mark.parametrize(
    ("kind", "modes"),
    [
        ("PNG", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]), ("BMP", ["1", "L", "P", "RGB", "RGBA"]),
        ("JPEG", ["L", "RGB", "CMYK"]), ("PPM", ["1", "L", "RGB", "I;16"]), ("GIF", ["L", "P"]),
    ],
)  # fmt: skip
def test_every_color_model_is_read_as_pillow_reads_it(tmp_path, kind, modes):
    for mode in modes:
        image = Image.fromarray(np.dstack([RGB, ALPHA]) if mode == "RGBA" else RGB)
        image = Image.fromarray(RAMP.astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
        data = written(image, kind)
        assert np.abs(read(tmp_path, data, ".png").astype(int) - pillow(data)).max() <= 4, mode


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_png_of_few_bits(tmp_path, bits):
    image = Image.fromarray(RAMP >> (8 - bits)).convert("P")
    data = written(image, "PNG", bits=bits)
    assert np.abs(read(tmp_path, data).astype(int) - pillow(data)).max() <= 1


@pytest.mark.parametrize("white", [1, 100, 255, 300, 1023, 4095, 65535])
@pytest.mark.parametrize("is_text", [False, True])
def test_the_white_of_pgm_is_followed(tmp_path, white, is_text):
    levels = np.rint(RAMP / 255 * white).astype(int)
    raw = levels.astype(">u2" if white > 255 else "u1").tobytes()
    content = (" ".join(map(str, levels.ravel())) + "\n").encode() if is_text else raw
    data = f"P{2 if is_text else 5}\n# a comment\n{WIDTH} {HEIGHT}\n{white}\n".encode() + content
    assert np.abs(read(tmp_path, data, ".pgm")[..., 0] - levels / white * 255).max() <= 1


def preview_first():
    data = tiff(GRAY, 1, 8, pages=2, subfile=[1])
    second = data.rindex(struct.pack("<HH", 254, 3))
    return data[: second + 8] + bytes(4) + data[second + 12 :]


SMALL = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
MANY = {"save_all": True, "append_images": SMALL[1:]}
REFUSED = {
    "2 pages": tiff(GRAY, 1, 8, pages=2),
    "2 pages,": written(SMALL[0], "TIFF", **MANY),
    "7 pages": tiff(GRAY, 1, 8, text=b"ImageJ=1.53\nimages=7\nslices=7\0"),
    "only a preview": preview_first(),
    "animated, 2": written(SMALL[0], "PNG", **MANY),
    "animated, 2 images": written(SMALL[0], "GIF", **MANY),
    "animated, several": written(SMALL[0], "WEBP", **MANY),
    "several images": b"P5 4 4 255\n" + bytes(16) + b"P5 4 4 255\n" + bytes(16),
    "gray of 2 bits": tiff(GRAY >> 6, 1, 2),
    "gray of 4 bits": tiff(GRAY >> 4, 1, 4),
    "gray of 32 bits": tiff(GRAY.astype(np.uint32), 1, 32),
    "pixels are int16": tiff(GRAY.astype(np.int16), 1, 16, format=[2]),
    "pixels are int8": tiff(GRAY.astype(np.uint8), 1, 8, format=[2]),
    "pixels are float32": tiff(GRAY.astype(np.float32), 1, 32, format=[3]),
    "pixels are float16": tiff(GRAY.astype(np.float16), 1, 16, format=[3]),
    "colors are Lab": tiff(RGB, 8, 8),
    "CMYK of 16 bits": tiff(np.dstack([RGB, RAMP]).astype(np.uint16), 5, 16),
    "multiplied by alpha": tiff(np.dstack([RGB, ALPHA]), 2, 8, extra=[1]),
    "gray with 2 channels": tiff(np.dstack([RAMP, ALPHA]).astype(np.uint16), 1, 16, extra=[2]),
    "white is 70000": b"P2 1 1 70000\n5\n",
    "damaged, or not": b"\0\0\0\x20ftypavif" + bytes(60),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_what_would_be_misread_is_refused_by_name(tmp_path, reason):
    with pytest.raises(UnreadableImageError, match=reason.rstrip(",")):
        read(tmp_path, REFUSED[reason])


@pytest.mark.parametrize("name", ["gray 8", "BigTIFF", "RGBA 8, unassociated"])
def test_a_damaged_header_is_refused_or_read(tmp_path, name):
    generator = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(TIFFS[name])
        for place in generator.integers(len(data) - 250, len(data), 3):
            data[place] = generator.integers(256)
        try:
            read(tmp_path, bytes(data))
        except UnreadableImageError:
            continue
