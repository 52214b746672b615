"""Heat laid over an image; without TensorFlow."""

import numpy as np
import pytest

from helpers.explaining.overlay import STRONGEST, overlay, with_heatmap


def test_no_heat_leaves_the_image_and_most_heat_shines() -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    heatmap = np.zeros((4, 5), np.float32)
    heatmap[1, 2] = 1
    over = overlay(image, heatmap)
    assert over.dtype == np.uint8
    changed = (over != image).any(axis=-1)
    assert np.argwhere(changed).tolist() == [[1, 2]]
    yellow = np.array([253, 231, 37])  # the brightest color of viridis, RGB
    expected = (1 - STRONGEST) * image[1, 2] + STRONGEST * yellow
    np.testing.assert_allclose(over[1, 2], expected, atol=1.5)


@pytest.mark.parametrize("channels", [1, 3])
def test_image_and_heatmap_are_side_by_side_in_color(channels) -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 5, channels), np.uint8)
    picture = with_heatmap(image, np.zeros((4, 5), np.float32))
    assert (picture[:, :5] == image).all()
    assert (picture[:, 5:] == image).all()
    assert picture.shape == (4, 10, 3)


def test_refuses_heat_of_another_size() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        overlay(np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4), np.float32))
