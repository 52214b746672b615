import cv2
import numpy as np
import pytest

from preprocessing.errors import PreprocessingError
from preprocessing.prepare.sources.image_folder import find_images
from preprocessing.prepare.sources.masks import find_masks, is_mask_name

IMAGES = ["benign/a 1.png", "malignant/b 1.png"]


@pytest.mark.parametrize(
    "mask",
    [
        "benign/a 1_mask.png", "benign/a 1_mask_1.png", "benign/a 1-Mask.bmp", "benign/mask_a 1.png",
        "benign/masks/a 1.png", "masks/a 1.png", "Benign_Masks/a 1.png", "benign/GroundTruth/a 1.png",
        "benign/ground truth/7.png", "benign/a 1_seg.png", "benign/a 1.gt.png", "benign/labels/a 1.png",
        "labels/benign/a 1_seg.png", "segmentation/7.tif", "benign/a 1_segmentation2.png",
    ],
)  # fmt: skip
def test_masks_are_recognized_by_their_names(mask):
    assert find_masks([*IMAGES, mask]) == [mask]


@pytest.mark.parametrize(
    "image",
    ["benign/masked.png", "benign/damask 1.png", "labels/other.png", "benign/x_seg.png", "roi/c.png"],
)
def test_other_names_stay(image):
    assert find_masks([*IMAGES, image]) == []
    assert not is_mask_name("benign (1)")


def save(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), np.zeros((4, 4), np.uint8))


@pytest.mark.parametrize("mask", ["benign/a 1_mask.png", "benign/masks/a 1.png", "masks/a 1.png"])
def test_masks_are_left_out_with_a_notice(tmp_path, mask):
    save(tmp_path, *IMAGES, mask)
    images = find_images(tmp_path)
    assert [record.file for record in images.records] == IMAGES
    assert f"Left out, masks by their names (1): {mask}" in images.metadata["notes"][0]
    (tmp_path / "manifest.csv").write_text(
        f"file,label\n{IMAGES[0]},benign\n{IMAGES[1]},cancer\n{mask},cancer"
    )
    assert [record.file for record in find_images(tmp_path).records] == IMAGES


def test_masks_never_make_a_class(tmp_path):
    save(tmp_path, "images/a.png", "masks/a.png")
    with pytest.raises(PreprocessingError, match=r"two or more classes .* 1 mask such as masks/a.png"):
        find_images(tmp_path)
