import numpy as np

from helpers.global_config import Config
from preprocessing.feed.run_data import warn_of_constant_images


def test_images_without_contrast_are_warned_of(capsys):
    noise = np.random.default_rng(0).random((4, 8, 8, 1), np.float32)
    warn_of_constant_images(noise, Config())
    warn_of_constant_images(noise[:0], Config())
    assert capsys.readouterr().out == ""
    warn_of_constant_images(noise / 255, Config(AUGMENTATION="strong"))
    assert "Warning: 4 of 4 training images are nearly constant" in capsys.readouterr().out
