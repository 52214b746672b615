"""Heatmap overlays and the selection of cases, without TensorFlow."""

import numpy as np
import pytest

from helpers.explaining.cases import surest_cases
from helpers.explaining.overlay import STRONGEST, overlay, with_heatmap


def test_the_surest_come_first_each_class_apart() -> None:
    labels = np.array([1, 0, 1, 0, 0, 1, 0, 1])
    scores = np.array([0.6, 0.1, 0.2, 0.9, 0.55, 0.95, 0.4, 0.3])
    right, wrong = surest_cases(labels, scores, 0.5, count=1)
    assert right.tolist() == [5, 1]
    assert wrong.tolist() == [2, 3]
    right, wrong = surest_cases(labels, scores, 0.5, count=9)
    assert right.tolist() == [5, 0, 1, 6]
    assert wrong.tolist() == [2, 7, 3, 4]


def test_one_class_that_is_surer_does_not_crowd_out_the_other() -> None:
    labels = np.array([0] * 8 + [1] * 2)
    scores = np.array([0.01] * 7 + [0.99, 0.51, 0.49])
    right, wrong = surest_cases(labels, scores, 0.5, count=3)
    assert right.tolist() == [8, 0, 1, 2]
    assert wrong.tolist() == [9, 7]


def test_a_threshold_above_all_scores_leaves_only_negatives() -> None:
    right, wrong = surest_cases(np.array([0, 1, 1]), np.array([0.0, 0.5, 1.0]), 1.1, count=3)
    assert right.tolist() == [0]
    assert wrong.tolist() == [1, 2]


def test_of_several_classes_every_one_has_its_turn() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    sure = np.array([0.9, 0.8, 0.99, 0.7, 0.6, 0.5, 0.95, 0.9])
    decided = np.array([0, 0, 0, 1, 1, 2, 0, 2])
    scores = np.repeat((1 - sure)[:, None] / 2, 3, axis=1)
    scores[np.arange(8), decided] = sure
    right, wrong = surest_cases(labels, scores, None, count=2)
    assert right.tolist() == [2, 7, 4, 0]
    assert wrong.tolist() == [6, 3, 5]


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
