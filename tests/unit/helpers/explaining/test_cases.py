"""The surest decisions of each class."""

import numpy as np

from helpers.explaining.cases import surest_cases


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
