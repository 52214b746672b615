import hashlib

import cv2
import numpy as np
import pytest

from preprocessing.errors import PreprocessingError
from preprocessing.sources.image_folder import (
    ImageRecord,
    UnreadableImageError,
    find_images,
    read_image,
    to_rgb,
)

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
BGR = np.dstack([GREY, 255 - GREY, GREY // 2])


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".tif", ".pgm"])
def test_grey_files_come_back_as_rgb_with_the_same_pixels(tmp_path, suffix):
    image, digest = read_image(save(tmp_path / f"a{suffix}", GREY), (6, 8))
    assert image.dtype == np.uint8
    assert np.array_equal(image, np.dstack([GREY] * 3))
    assert digest == hashlib.sha256((tmp_path / f"a{suffix}").read_bytes()).hexdigest()


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_colour_files_come_back_as_rgb_and_alpha_is_dropped(tmp_path, suffix):
    assert np.array_equal(read_image(save(tmp_path / f"a{suffix}", BGR), (6, 8))[0], BGR[..., ::-1])
    bgra = np.dstack([BGR, np.zeros_like(GREY)])
    assert np.array_equal(read_image(save(tmp_path / f"b{suffix}", bgra), (6, 8))[0], BGR[..., ::-1])


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_jpeg_comes_back_nearly_the_same(tmp_path, suffix):
    smooth = np.tile(np.arange(64, dtype=np.uint8) * 3, (64, 1))
    image, _ = read_image(save(tmp_path / f"a{suffix}", smooth), (64, 64))
    assert np.abs(image[..., 0].astype(int) - smooth).max() < 6


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".pgm"])
@pytest.mark.parametrize(
    ("brightest", "expected"), [(4095, [0, 128, 255]), (65535, [0, 8, 255]), (40000, [0, 8, 156])]
)
def test_sixteen_bit_files_are_read_as_twelve_bit_when_they_fit(tmp_path, suffix, brightest, expected):
    pixels = np.array([[0, 2048, brightest]], np.uint16)  # 2048/4095*255 = 127.5, 2048/257 = 8.0
    assert read_image(save(tmp_path / f"a{suffix}", pixels), (1, 3))[0][0, :, 0].tolist() == expected


def test_sixteen_bit_colour(tmp_path):
    image, _ = read_image(save(tmp_path / "a.png", BGR.astype(np.uint16) * 257), (6, 8))
    assert np.array_equal(image, BGR[..., ::-1])


def test_shrinking_averages_areas_and_growing_interpolates():
    assert to_rgb(np.array([[0, 100], [200, 100]], np.uint8), (1, 1)).tolist() == [[[100] * 3]]
    grown = to_rgb(np.array([[0, 100]], np.uint8), (1, 4))[0, :, 0]
    assert grown.tolist() == [0, 25, 75, 100]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty file"), (b"no image", "damaged, or not an image"), (None, "No such file")],
)
def test_unreadable_files_say_why(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UnreadableImageError, match=reason):
        read_image(tmp_path / "a.png", (4, 4))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff", ".pgm"])
def test_a_cut_off_file_is_unreadable(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UnreadableImageError):
        read_image(path, (40, 40))


def test_float_pixels_are_refused(tmp_path):
    with pytest.raises(UnreadableImageError, match="float32, expected 8 or 16 bit"):
        read_image(save(tmp_path / "a.tiff", GREY.astype(np.float32)), (4, 4))


def test_images_are_found_at_any_depth_in_a_fixed_order(tmp_path):
    for name in ("1/b.PNG", "1/a.png", "0/deep/er/c.png", "0/._c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "0/notes.txt").write_text("no image")
    assert find_images(tmp_path) == [
        ImageRecord("0/deep/er/c.png", 0),
        ImageRecord("1/a.png", 1),
        ImageRecord("1/b.PNG", 1),
    ]


@pytest.fixture
def two_images(tmp_path):
    save(tmp_path / "0/a.png", GREY)
    save(tmp_path / "1/b.png", GREY)
    return tmp_path


def test_patients_come_from_the_manifest(two_images):
    (two_images / "manifest.csv").write_text("\ufefffile,patient\n0/a.png,7\n1\\b.png,8\n", encoding="utf-8")
    assert [record.patient for record in find_images(two_images)] == ["7", "8"]


def test_splits_come_from_the_manifest(two_images):
    (two_images / "manifest.csv").write_text("file,split,patient\n1/b.png, test ,8\n0/a.png,train,7\n")
    assert find_images(two_images) == [
        ImageRecord("0/a.png", 0, "7", "train"),
        ImageRecord("1/b.png", 1, "8", "test"),
    ]


def test_a_manifest_without_patients_changes_nothing(two_images):
    (two_images / "manifest.csv").write_text("file,device\n")
    assert [record.patient for record in find_images(two_images)] == [None, None]


def test_other_columns_are_kept(two_images):
    rows = ["file,device,patient,side", "1/b.png, GE ,8,left", "0/a.png,,7,right", "0/absent.png,X,9,"]
    (two_images / "manifest.csv").write_text("\n".join(rows))
    assert find_images(two_images) == [
        ImageRecord("0/a.png", 0, "7", None, {"device": "", "side": "right"}),
        ImageRecord("1/b.png", 1, "8", None, {"device": "GE", "side": "left"}),
    ]


def test_a_column_that_says_two_things_of_an_image_is_left_out(two_images):
    rows = ["file,finding,device", "0/a.png,mass,GE", "0/a.png,calcification,GE", "1/b.png,mass,GE"]
    (two_images / "manifest.csv").write_text("\n".join(rows))
    assert [record.columns for record in find_images(two_images)] == [{"device": "GE"}] * 2


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("file,patient\n0/a.png,7\n", r"no patient for 1 image: 1/b.png; add a row"),
        ("file,patient\n0/a.png,7\n1/b.png,\n", r"no patient for 1 image: 1/b.png"),
        ("file,patient\n0/a.png,7\n0/a.png,8\n1/b.png,8\n", r"0/a.png has two patients"),
        ("name,patient\n", r"no column file"),
        ("file,split\n0/a.png,train\n1/b.png,\n", r"no split for 1 image: 1/b.png; add a row"),
        (
            "file,split\n0/a.png,Train\n1/b.png,val\n",
            r"split: expected train, val, test, received .* 1 image: 0/a.png \(Train\)",
        ),
        ("file,split\n0/a.png,val\n0/a.png,test\n1/b.png,val\n", r"0/a.png has two splits"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(two_images, manifest, message):
    (two_images / "manifest.csv").write_text(manifest)
    with pytest.raises(PreprocessingError, match=message):
        find_images(two_images)


def test_missing_folders_are_named_with_what_was_expected(tmp_path):
    with pytest.raises(PreprocessingError, match=r"nowhere: folder not found; expected .*nowhere/0 with"):
        find_images(tmp_path / "nowhere")
    save(tmp_path / "0/a.png", GREY)
    with pytest.raises(PreprocessingError, match=r"1: folder not found"):
        find_images(tmp_path)
    (tmp_path / "1").mkdir()
    with pytest.raises(PreprocessingError, match=r"1: no images in this folder"):
        find_images(tmp_path)
