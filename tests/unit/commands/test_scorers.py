"""Scores of models that are used wrongly: each is one line. tests/model has models that score."""

from pathlib import Path

import numpy as np
import pytest

from commands import scorers
from commands.scorers import Scorer, open_scorer
from helpers.global_config import Config
from helpers.settings.errors import UserError

SHAPE = (4, 4, 1)


def scores(outputs: list[list[float]], number: int = 2) -> np.ndarray:
    names = ("a", "b", "c")[: max(2, len(outputs[0]))]
    model = Scorer(
        Path("m.keras"), "", SHAPE, names, 0.5, "the default", "0..1", {}, lambda _: np.array(outputs)
    )
    return model.scores(np.zeros((number, *SHAPE), np.uint8), lambda step, done, total: None)


def test_without_an_image_there_is_nothing_to_score():
    with pytest.raises(UserError, match="no image is left to score"):
        scores([[0.5]], number=0)


@pytest.mark.parametrize("sigmoids", [[0.9, 0.8, 0.1], [0.9, 0.8]])
def test_several_sigmoids_are_no_probabilities_of_classes(sigmoids):
    with pytest.raises(UserError, match=r"m\.keras: the \d outputs of an image add up to"):
        scores([sigmoids, sigmoids])
    softmax = [value / sum(sigmoids) + 0.0002 for value in sigmoids]
    assert scores([softmax, softmax]).shape == ((2, 3) if len(sigmoids) == 3 else (2,))


def test_pixels_per_color_need_a_model_of_colors(tmp_path, monkeypatch):
    file = tmp_path / "gray.keras"
    file.touch()
    opened = scorers._Opened(lambda images: images, SHAPE, 1, {})
    monkeypatch.setattr(scorers, "_open_keras", lambda file, config: opened)
    with pytest.raises(UserError, match="--pixels imagenet: is for RGB images"):
        open_scorer(str(file), Config(), "imagenet", None)
    assert open_scorer(str(file), Config(), "0..1", None).pixels == "0..1"
