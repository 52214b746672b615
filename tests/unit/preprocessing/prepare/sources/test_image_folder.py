import hashlib
from dataclasses import replace

import cv2
import numpy as np
import pytest

from preprocessing.errors import PreprocessingError
from preprocessing.prepare.sources.image_folder import find_images, fit_image, read_image
from preprocessing.prepare.sources.records import ImageRecord, UnreadableImageError

GRAY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
BGR = np.dstack([GRAY, 255 - GRAY, GRAY // 2])


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".tif", ".pgm"])
def test_gray_files_come_back_as_rgb_with_the_same_pixels(tmp_path, suffix):
    image, digest, _ = read_image(save(tmp_path / f"a{suffix}", GRAY), (6, 8, 3))
    assert image.dtype == np.uint8
    assert np.array_equal(image, np.dstack([GRAY] * 3))
    assert digest == hashlib.sha256((tmp_path / f"a{suffix}").read_bytes()).hexdigest()


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_color_files_come_back_as_rgb_and_alpha_is_dropped(tmp_path, suffix):
    assert np.array_equal(read_image(save(tmp_path / f"a{suffix}", BGR), (6, 8, 3)).pixels, BGR[..., ::-1])
    bgra = np.dstack([BGR, np.zeros_like(GRAY)])
    assert np.array_equal(read_image(save(tmp_path / f"b{suffix}", bgra), (6, 8, 3)).pixels, BGR[..., ::-1])


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_jpeg_comes_back_nearly_the_same(tmp_path, suffix):
    smooth = np.tile(np.arange(64, dtype=np.uint8) * 3, (64, 1))
    image = read_image(save(tmp_path / f"a{suffix}", smooth), (64, 64, 3)).pixels
    assert np.abs(image[..., 0].astype(int) - smooth).max() < 6


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".pgm"])
@pytest.mark.parametrize(
    ("brightest", "expected"), [(4095, [0, 128, 255]), (65535, [0, 8, 255]), (40000, [0, 8, 156])]
)
def test_sixteen_bit_files_are_read_as_twelve_bit_when_they_fit(tmp_path, suffix, brightest, expected):
    pixels = np.array([[0, 2048, brightest]], np.uint16)  # 2048/4095*255 = 127.5, 2048/257 = 8.0
    assert read_image(save(tmp_path / f"a{suffix}", pixels), (1, 3, 3)).pixels[0, :, 0].tolist() == expected


def test_alpha_says_nothing_about_white(tmp_path):
    gray = np.array([[0, 2048, 4095]], np.uint16)
    pixels = np.dstack([gray, gray, gray, np.full_like(gray, 65535)])
    assert read_image(save(tmp_path / "a.png", pixels), (1, 3, 3)).pixels[0, :, 0].tolist() == [0, 128, 255]


def test_sixteen_bit_color(tmp_path):
    image = read_image(save(tmp_path / "a.png", BGR.astype(np.uint16) * 257), (6, 8, 3)).pixels
    assert np.array_equal(image, BGR[..., ::-1])


def test_shrinking_averages_areas_and_growing_interpolates():
    assert fit_image(np.array([[0, 100], [200, 100]], np.uint8), (1, 1, 3)).tolist() == [[[100] * 3]]
    grown = fit_image(np.array([[0, 100]], np.uint8), (1, 4, 3))[0, :, 0]
    assert grown.tolist() == [0, 25, 75, 100]


def test_color_becomes_gray_with_one_channel(tmp_path):
    gray = read_image(save(tmp_path / "a.png", GRAY), (6, 8, 1)).pixels
    assert np.array_equal(gray, GRAY[..., None])
    shades = np.array(
        [[[0, 0, 255], [0, 255, 0], [255, 0, 0]]], np.uint8
    )  # red, green, blue as OpenCV has it
    for name, pixels in (("b.png", shades), ("c.png", np.dstack([shades, shades[..., :1]]))):
        assert read_image(save(tmp_path / name, pixels), (1, 3, 1)).pixels.ravel().tolist() == [76, 150, 29]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty file"), (b"no image", "damaged, or not an image"), (None, "No such file")],
)
def test_unreadable_files_have_a_reason(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UnreadableImageError, match=reason):
        read_image(tmp_path / "a.png", (4, 4, 3))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff", ".pgm"])
def test_a_truncated_file_is_unreadable(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UnreadableImageError):
        read_image(path, (40, 40, 3))


def test_float_pixels_are_refused(tmp_path):
    with pytest.raises(UnreadableImageError, match="float32, expected 8 or 16 bit"):
        read_image(save(tmp_path / "a.tiff", GRAY.astype(np.float32)), (4, 4, 3))


def test_images_are_found_at_any_depth_in_a_fixed_order(tmp_path):
    for name in ("1/b.PNG", "1/a.png", "0/deep/er/c.png", "0/._c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "0/notes.txt").write_text("no image")
    assert find_images(tmp_path).records == [
        ImageRecord("0/deep/er/c.png", 0),
        ImageRecord("1/a.png", 1),
        ImageRecord("1/b.PNG", 1),
    ]


@pytest.fixture
def two_images(tmp_path):
    save(tmp_path / "0/a.png", GRAY)
    save(tmp_path / "1/b.png", GRAY)
    return tmp_path


def test_patients_come_from_the_manifest(two_images):
    (two_images / "manifest.csv").write_text("\ufefffile,patient\n0/a.png,7\n1\\b.png,8\n", encoding="utf-8")
    assert [record.patient for record in find_images(two_images).records] == ["7", "8"]


def test_splits_come_from_the_manifest(two_images):
    (two_images / "manifest.csv").write_text("file,split,patient\n1/b.png, test ,8\n0/a.png,train,7\n")
    assert find_images(two_images).records == [
        ImageRecord("0/a.png", 0, "7", "train"),
        ImageRecord("1/b.png", 1, "8", "test"),
    ]


def test_a_manifest_without_patients_changes_nothing(two_images):
    (two_images / "manifest.csv").write_text("file,device\n")
    assert [record.patient for record in find_images(two_images).records] == [None, None]


def test_other_columns_are_kept(two_images):
    rows = ["file,device,patient,side", "1/b.png, GE ,8,left", "0/a.png,,7,right", "0/absent.png,X,9,"]
    (two_images / "manifest.csv").write_text("\n".join(rows))
    assert find_images(two_images).records == [
        ImageRecord("0/a.png", 0, "7", None, {"device": "", "side": "right"}),
        ImageRecord("1/b.png", 1, "8", None, {"device": "GE", "side": "left"}),
    ]


def test_a_column_with_two_values_for_an_image_is_dropped(two_images):
    rows = ["file,finding,device", "0/a.png,mass,GE", "0/a.png,calcification,GE", "1/b.png,mass,GE"]
    (two_images / "manifest.csv").write_text("\n".join(rows))
    assert [record.columns for record in find_images(two_images).records] == [{"device": "GE"}] * 2


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("file,patient\n0/a.png,7\n", r"no patient for 1 image: 1/b.png; add a row"),
        ("file,patient\n0/a.png,7\n1/b.png,\n", r"no patient for 1 image: 1/b.png"),
        ("file,patient\n0/a.png,Unknown\n1/b.png,NA\n", r"2 images \(but NA, Unknown\): 0/a.png, 1/b.png"),
        ("file,device,device\n0/a.png,A,B\n1/b.png,A,B\n", r"more than one column device; rename"),
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


def test_a_misspelled_column_label_is_reported(tmp_path):
    save(tmp_path / "scans/a.png", GRAY)
    (tmp_path / "manifest.csv").write_text("file,class\nscans/a.png,benign\n")
    with pytest.raises(PreprocessingError, match=r"whose manifest.csv has no column label, has 1 \(scans\)"):
        find_images(tmp_path)


def test_two_folders_may_have_the_names_of_classes(tmp_path):
    for name in ("malignant/a.png", "benign/b.png", "benign/deep/c.png", ".cache/e.png"):
        save(tmp_path / name, GRAY)
    (tmp_path / "notes").mkdir()
    images = find_images(tmp_path)
    assert images.classes == ("benign", "malignant")
    assert images.records == [
        ImageRecord("benign/b.png", 0),
        ImageRecord("benign/deep/c.png", 0),
        ImageRecord("malignant/a.png", 1),
    ]


def test_three_folders_are_three_classes(tmp_path):
    for name in ("malignant/a.png", "benign/b.png", "normal/c.png"):
        save(tmp_path / name, GRAY)
    images = find_images(tmp_path)
    assert images.classes == ("benign", "malignant", "normal")
    assert [(record.file, record.label) for record in images.records] == [
        ("benign/b.png", 0), ("malignant/a.png", 1), ("normal/c.png", 2),
    ]  # fmt: skip
    order = ("normal", "benign", "malignant")
    images = find_images(tmp_path, class_names=order)
    assert images.classes == order
    assert [record.file for record in images.records] == ["normal/c.png", "benign/b.png", "malignant/a.png"]


@pytest.mark.parametrize("stray", ["new_batch/c.png", "c.png"])
def test_images_in_no_class_folder_are_left_out_with_a_notice(two_images, stray):
    save(two_images / stray, GRAY)
    images = find_images(two_images)
    assert stray not in [record.file for record in images.records]
    assert images.metadata["notes"] == [f"Left out, in no class folder (1): {stray}"]


def test_numbered_folders_go_on_beyond_1(two_images):
    save(two_images / "2/c.png", GRAY)
    (two_images / "notes").mkdir()
    save(two_images / "originals/c.png", GRAY)  # where folders are numbered, others mean nothing
    for class_names in ((), ("normal", "benign", "malignant")):
        images = find_images(two_images, class_names=class_names)
        assert images.classes == (class_names or ("0", "1", "2"))
        assert [record.label for record in images.records] == [0, 1, 2]
    assert find_images(two_images, class_names=("2", "0", "1")).records[0].file == "2/c.png"


def test_numbered_folders_have_no_gap(two_images):
    save(two_images / "20190101/c.png", GRAY)
    with pytest.raises(PreprocessingError, match=r"/2: folder not found \(.* 20190101/\); .* without a gap"):
        find_images(two_images)
    (two_images / "20190101").rename(two_images / "3")
    (two_images / "2").mkdir()
    with pytest.raises(PreprocessingError, match=r"/2: no images in this folder \(.* is 3/\); expected"):
        find_images(two_images)


def test_a_column_label_may_have_three_classes(tmp_path):
    for name in "abc":
        save(tmp_path / f"{name}.png", GRAY)
    (tmp_path / "manifest.csv").write_text("file,label\na.png,normal\nb.png,malignant\nc.png,benign\n")
    labels = [(record.file, record.label) for record in find_images(tmp_path).records]
    assert labels == [("c.png", 0), ("b.png", 1), ("a.png", 2)]
    order = ("normal", "benign", "malignant")
    labels = [(record.file, record.label) for record in find_images(tmp_path, class_names=order).records]
    assert labels == [("a.png", 0), ("c.png", 1), ("b.png", 2)]


def test_the_user_names_the_folder_of_label_1(tmp_path):
    for name in ("cyst/a.png", "lesion/b.png"):
        save(tmp_path / name, GRAY)
    with pytest.raises(
        PreprocessingError,
        match=r'not clear; add --positive-class "cyst" or .*"lesion", options of .*`evaluate`$',
    ):
        find_images(tmp_path)
    assert find_images(tmp_path, "lesion").classes == ("cyst", "lesion")
    images = find_images(tmp_path, "cyst")
    assert images.classes == ("lesion", "cyst")
    assert images.records == [ImageRecord("lesion/b.png", 0), ImageRecord("cyst/a.png", 1)]


def test_a_column_label_lists_images_in_any_folder(tmp_path):
    for name in ("left/a.png", "right/b.png", "c.png"):
        save(tmp_path / name, GRAY)
    rows = [
        "file,label,patient,site,split",
        "left/a.png,1,7,A,train",
        "right\\b.png, 0 ,8,B,test",
        "c.png,0,8,A,test",
    ]
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    images = find_images(tmp_path)
    assert images.classes == ("non-cancerous", "cancerous")
    assert images.records == [
        ImageRecord("c.png", 0, "8", "test", {"label": "0", "site": "A"}),
        ImageRecord("right/b.png", 0, "8", "test", {"label": "0", "site": "B"}),
        ImageRecord("left/a.png", 1, "7", "train", {"label": "1", "site": "A"}),
    ]
    assert [record.label for record in find_images(tmp_path, "0").records] == [0, 1, 1]


def test_a_column_label_replaces_only_the_labels_of_the_two_folders(two_images):
    (two_images / "manifest.csv").write_text("file,patient\n0/a.png,7\n1/b.png,8\n")
    before = find_images(two_images)
    (two_images / "manifest.csv").write_text("file,label,patient\n1/b.png,1,8\n0/a.png,0,7\n")
    images = find_images(two_images)
    assert images.classes == before.classes
    assert [replace(record, columns={}) for record in images.records] == before.records
    (two_images / "manifest.csv").write_text("file,label\n1/b.png,benign\n0/a.png,cancer\n")
    images = find_images(two_images)
    assert images.classes == ("benign", "cancer")
    assert [(record.file, record.label) for record in images.records] == [("1/b.png", 0), ("0/a.png", 1)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["0/a.png,0"], r"no row for 1 image: 1/b.png; add a row with file and label"),
        (["0/a.png,0", "1/b.png,"], r"no label for 1 image: 1/b.png; fill in"),
        (["0/a.png,0", "1/b.png,1", "1/c.png,1"], r"1 image not found: 1/c.png; correct"),
        (["0/a.png,0", "1/b.png,1", "../x.png,1"], r"1 image not below its folder: ../x.png"),
        (["0/a.png,0", "1/b.png,1", "0/a.png,1"], r"0/a.png has two labels; keep one row"),
        (["0/a.png,benign", "1/b.png,2"], r"has the classes 2 and benign, and which is 1 .* not clear"),
        (["0/a.png,benign", "1/b.png,benign"], r"column label of .*manifest.csv has 1 \(benign\)"),
    ],
)
def test_a_column_label_that_does_not_fit_is_refused(two_images, rows, message):
    (two_images / "manifest.csv").write_text("\n".join(["file,label", *rows]))
    with pytest.raises(PreprocessingError, match=message):
        find_images(two_images)


def test_missing_folders_are_named_with_what_was_expected(tmp_path):
    with pytest.raises(PreprocessingError, match=r"nowhere: folder not found; expected .*nowhere/0 with"):
        find_images(tmp_path / "nowhere")
    save(tmp_path / "0/a.png", GRAY)
    with pytest.raises(PreprocessingError, match=r"1: folder not found"):
        find_images(tmp_path)
    (tmp_path / "1").mkdir()
    with pytest.raises(PreprocessingError, match=r"1: no images in this folder"):
        find_images(tmp_path)
