"""Gray levels of DICOM, compared with those that pydicom's own transformations give."""

import numpy as np
import pytest

from preprocessing.prepare.sources.dicom import read_dicom
from preprocessing.prepare.sources.records import UnreadableImageError
from tests.unit.preprocessing.prepare.sources.test_dicom import LEVELS, save, shown

pydicom = pytest.importorskip("pydicom", reason="DICOM images need: pip install -r requirements-demo.txt")

EIGHT = np.array([[0, 7, 100, 200, 255]], np.uint8)
SIGNED = np.array([[-2000, -500, 0, 700, 2047]], np.int16)
WIDE = {"WindowCenter": 2048, "WindowWidth": 4096}
WINDOW = {"WindowCenter": 600, "WindowWidth": 1800}


def table(levels, first, bits, vr="US"):
    item = pydicom.dataset.Dataset()
    item.add_new("LUTDescriptor", vr if first < 0 else "US", [len(levels), first, bits])
    item.add_new("LUTData", "US", levels)
    item.ModalityLUTType = "US"
    return item


STEPS = np.linspace(0, 4095, 4096).astype(int)
CASES = {
    "window": (LEVELS, 12, WINDOW),
    "window, signed": (SIGNED, 12, WINDOW),
    "window, 16 bits": (LEVELS * 16, 16, {"WindowCenter": 30000, "WindowWidth": 40000}),
    "window, 8 bits": (EIGHT, 8, {"WindowCenter": 100, "WindowWidth": 150}),
    "rescaled window": (LEVELS, 12, WINDOW | {"RescaleSlope": 0.5, "RescaleIntercept": -300}),
    "negative slope": (LEVELS, 12, WINDOW | {"RescaleSlope": -1, "RescaleIntercept": 2000}),
    "exact": (LEVELS, 12, WINDOW | {"VOILUTFunction": "LINEAR_EXACT"}),
    "sigmoid": (LEVELS, 12, WINDOW | {"VOILUTFunction": "SIGMOID"}),
    "voi table": (LEVELS, 12, {"VOILUTSequence": [table((STEPS // 2).tolist(), 0, 12)]}),
    "voi table of 8 bits": (LEVELS, 12, {"VOILUTSequence": [table((STEPS // 16).tolist(), 0, 8)]}),
    "voi table, signed": (SIGNED, 12, {"VOILUTSequence": [table(STEPS.tolist(), -2048, 12, "SS")]}),
    "modality table": (LEVELS, 12, WIDE | {"ModalityLUTSequence": [table(STEPS[::-1].tolist(), 0, 16)]}),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_gray_levels_are_those_of_pydicom(tmp_path, name, photometric):
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    pixels, bits, tags = CASES[name]
    path = save(tmp_path / "a.dcm", pixels, photometric, bits=bits, **tags)
    image = pydicom.dcmread(path)
    values = apply_modality_lut(image.pixel_array, image)
    if "VOILUTSequence" in image:
        expected = apply_voi_lut(values, image) / (2 ** image.VOILUTSequence[0].LUTDescriptor[2] - 1)
    else:
        every = apply_voi_lut(np.append(values.astype(float), [-1e5, 1e5]), image)
        expected = (every[:-2] - every[-2]) / (every[-1] - every[-2])
    expected = expected.ravel() if photometric == "MONOCHROME2" else 1 - expected.ravel()
    assert np.abs(shown(path) - expected * 255).max() <= 1
    assert len(set(shown(path))) >= 3


def test_other_bits_of_the_words_are_not_gray_levels(tmp_path):
    overlay = LEVELS | 0xA000  # in the bits above
    expected = shown(save(tmp_path / "b.dcm", LEVELS, **WINDOW))
    assert shown(save(tmp_path / "a.dcm", overlay, **WINDOW)) == expected
    with pytest.raises(UnreadableImageError, match="high bit is 15, expected 11"):
        shown(save(tmp_path / "c.dcm", LEVELS << 4, HighBit=15, **WINDOW))
    below = np.where(SIGNED < 0, SIGNED & 0x0FFF, SIGNED).astype(np.int16)  # the sign is in bit 11
    signed = save(tmp_path / "d.dcm", SIGNED, **WINDOW)
    assert shown(save(tmp_path / "e.dcm", below, **WINDOW)) == shown(signed)


def test_padding_is_black_and_does_not_count(tmp_path):
    ramp = (np.arange(2000, dtype=np.uint16).reshape(40, 50) + 500).astype(np.uint16)
    padded = ramp.copy()
    padded[:, :25] = 4000
    path = save(tmp_path / "a.dcm", padded, PixelPaddingValue=4000)
    seen = read_dicom(path, (40, 50, 1)).pixels[..., 0]
    assert (seen[:, :25] == 0).all()
    assert seen[-1, -1] == 255
    one = read_dicom(save(tmp_path / "b.dcm", padded, "MONOCHROME1", PixelPaddingValue=4000), (40, 50, 1))
    assert (one.pixels[:, :25] == 0).all()
    assert one.pixels[-1, -1, 0] == 0
    limits = {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 1000}
    span = save(tmp_path / "c.dcm", LEVELS, "MONOCHROME1", **limits, **WINDOW)
    assert shown(span)[:2] == [0, 0]


def test_eight_bits_follow_the_rescaling_too(tmp_path):
    inverted = {"RescaleSlope": -1, "RescaleIntercept": 255}
    assert shown(save(tmp_path / "a.dcm", EIGHT, bits=8, **inverted)) == (255 - EIGHT[0]).tolist()
    raised = {"RescaleSlope": 3, "RescaleIntercept": -100}
    assert shown(save(tmp_path / "b.dcm", EIGHT, bits=8, **raised)) == EIGHT[0].tolist()
    down = {"RescaleSlope": -1, "RescaleIntercept": 0}
    deep = shown(save(tmp_path / "c.dcm", LEVELS, **down))
    assert deep[0] == 255
    assert deep[-1] == 0
    steps = {"ModalityLUTSequence": [table((255 - np.arange(256)).tolist(), 0, 8)]}
    assert shown(save(tmp_path / "d.dcm", EIGHT, bits=8, **steps)) == (255 - EIGHT[0]).tolist()


def test_the_window_of_an_enhanced_image_is_found(tmp_path):
    window, rescale, group = (pydicom.dataset.Dataset() for _ in range(3))
    window.WindowCenter, window.WindowWidth = 600, 1800
    rescale.RescaleSlope, rescale.RescaleIntercept = 0.5, -300
    group.FrameVOILUTSequence, group.PixelValueTransformationSequence = [window], [rescale]
    enhanced = save(tmp_path / "a.dcm", LEVELS, SharedFunctionalGroupsSequence=[group], NumberOfFrames=1)
    plain = save(tmp_path / "b.dcm", LEVELS, **WINDOW, RescaleSlope=0.5, RescaleIntercept=-300)
    assert shown(enhanced) == shown(plain)


@pytest.mark.parametrize("planar", [0, 1])
def test_color_models_are_those_of_pydicom(tmp_path, planar):
    from pydicom.pixels.processing import convert_color_space

    colors = np.random.default_rng(0).integers(0, 256, (1, 5, 3), np.uint8)
    for photometric in ("RGB", "YBR_FULL"):
        expected = colors if photometric == "RGB" else convert_color_space(colors, photometric, "RGB")
        path = save(tmp_path / "a.dcm", colors, photometric, bits=8)
        image = pydicom.dcmread(path)
        image.PlanarConfiguration = planar
        image.PixelData = (colors.transpose(2, 0, 1) if planar else colors).tobytes()
        image.save_as(path)
        assert np.abs(read_dicom(path, (1, 5, 3)).pixels.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("depth", [8, 16])
def test_palettes_give_their_colors(tmp_path, depth):
    steps = np.arange(256)
    tags = {}
    for name, values in (("Red", steps), ("Green", 255 - steps), ("Blue", steps // 2)):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, depth]
        kept = values.astype(np.uint8) if depth == 8 else (values * 257).astype("<u2")
        tags[f"{name}PaletteColorLookupTableData"] = kept.tobytes()
    path = save(tmp_path / "a.dcm", EIGHT, "PALETTE COLOR", bits=8, **tags)
    expected = np.dstack([EIGHT, 255 - EIGHT, EIGHT // 2])
    assert np.abs(read_dicom(path, (1, 5, 3)).pixels.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("photometric", "tags", "reason"),
    [
        ("MONOCHROME2", {"NumberOfFrames": 3}, "3 frames, expected one"),
        ("MONOCHROME2", {"PresentationLUTShape": "INVERSE"}, "presentation table"),
        ("MONOCHROME2", {"SeriesDescription": "ROI mask images"}, "a mask by its header"),
        ("MONOCHROME2", {"Modality": "SEG"}, "a mask by its header"),
        ("HSV", {}, "kind of colors is not read"),
        ("YBR_PARTIAL_420", {}, "kind of colors is not read"),
    ],
)
def test_what_would_be_misread_is_refused(tmp_path, photometric, tags, reason):
    pixels = LEVELS if photometric == "MONOCHROME2" else np.zeros((1, 5, 3), np.uint8)
    path = save(tmp_path / "a.dcm", pixels, photometric, bits=12 if pixels.ndim == 2 else 8, **tags)
    with pytest.raises(UnreadableImageError, match=reason):
        read_dicom(path, (1, 5, 3))
