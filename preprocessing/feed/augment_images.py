"""Augmentation pipelines of Albumentations for training images."""

import random
from collections.abc import Callable

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from helpers.settings.errors import ConfigError
from preprocessing.feed.custom_augmentation import custom_transforms

Augment = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Maps an image uint8 (H, W, C), RGB or gray, to float32 (H, W, C) in [0, 1]."""


def _readme_transforms(height: int, width: int) -> list[A.BasicTransform | A.OneOf]:
    return [
        A.Resize(height, width),
        A.RandomRotate90(p=0.5),
        *([] if height == width else [A.Resize(height, width)]),  # a quarter turn swaps the sides
        A.HorizontalFlip(p=0.5),
        A.VerticalFlip(p=0.5),
        A.OneOf([A.GaussianBlur(), A.MotionBlur()], p=0.3),
        A.OneOf([A.RandomBrightnessContrast(0.2, 0.2), A.CLAHE(clip_limit=2)], p=0.3),
        A.ToFloat(max_value=255),
    ]


def _light_transforms(height: int, width: int) -> list[A.BasicTransform | A.OneOf]:
    """Return transforms that keep ultrasound images plausible: depth runs downwards, so no rotation."""
    return [
        A.Resize(height, width),
        A.HorizontalFlip(p=0.5),
        A.RandomBrightnessContrast(0.2, 0.2, brightness_by_max=False, p=0.3),
        A.ToFloat(max_value=255),
    ]


def _strong_transforms(height: int, width: int) -> list[A.BasicTransform | A.OneOf]:
    """Return transforms for small sets of mammograms or ultrasound: never upside down, at most 15 degrees.

    Shift, scale, shear and elastic deformation imitate compression of the breast and position of the probe.
    Brightness, noise and sharpness imitate devices; multiplicative noise resembles speckle. Small black
    patches keep a single place from deciding.
    """
    side = min(height, width)
    return [
        A.Resize(height, width),
        A.HorizontalFlip(p=0.5),
        A.Affine(scale=(0.85, 1.15), translate_percent=(-0.08, 0.08), rotate=(-15, 15), shear=(-5, 5), p=0.8),
        # By about 1 % of the side.
        A.ElasticTransform(alpha=0.005 * side**2, sigma=max(1.0, 0.08 * side), p=0.2),
        # By the mean of the image: a fraction of white would turn dark ultrasound black.
        A.OneOf(
            [A.RandomBrightnessContrast(0.3, 0.3, brightness_by_max=False), A.RandomGamma((70, 140))], p=0.5
        ),
        A.OneOf(
            [
                A.GaussNoise((0.01, 0.05), per_channel=False),
                A.MultiplicativeNoise((0.85, 1.15), elementwise=True),
            ],
            p=0.3,
        ),
        A.OneOf([A.GaussianBlur(0, (0.004 * side, 0.016 * side)), A.Sharpen()], p=0.2),
        A.CoarseDropout((1, 4), (0.05, 0.15), (0.05, 0.15), p=0.2),
        A.ToFloat(max_value=255),
    ]


def _ultrasound_transforms(height: int, width: int) -> list[A.BasicTransform | A.OneOf]:
    """Return transforms for ultrasound, and for mammograms: small ones, because the probe is always above.

    Brightness is relative to the mean of the image, and multiplicative noise resembles speckle.
    """
    return [
        A.Resize(height, width),
        A.HorizontalFlip(p=0.5),
        A.Affine(scale=(0.9, 1.1), translate_percent=(-0.06, 0.06), rotate=(-10, 10), p=0.7),
        A.OneOf(
            [A.RandomBrightnessContrast(0.2, 0.2, brightness_by_max=False), A.RandomGamma((75, 133))], p=0.5
        ),
        A.MultiplicativeNoise((0.85, 1.15), elementwise=True, p=0.25),
        A.ToFloat(max_value=255),
    ]


AUGMENTATIONS = {
    "readme": _readme_transforms,
    "light": _light_transforms,
    "strong": _strong_transforms,
    "ultrasound": _ultrasound_transforms,
}


def augmentation(name: str, input_shape: tuple[int, int], seed: int) -> Augment:
    """Return a pipeline; `seed` determines how the n-th image is changed.

    Args:
        name: a key of AUGMENTATIONS, `none`, or the content of a user's file (`embed_custom_augmentation`).
        input_shape: height and width of the result.
        seed: any non-negative integer below 2**32.

    Raises:
        ConfigError: neither; the name of a file is refused, because only the orchestrator reads files.
    """
    cv2.setNumThreads(1)  # the images are small; OpenCV's threads would compete with TensorFlow's
    if name.startswith("{"):
        transforms = custom_transforms(name, *input_shape)
    elif name in AUGMENTATIONS:
        transforms = AUGMENTATIONS[name](*input_shape)
    elif name == "none":
        return _scaled
    else:
        raise ConfigError(f"AUGMENTATION: received {name!r}: expected {', '.join(AUGMENTATIONS)}, none")
    pipeline = A.Compose(transforms)
    # Not Compose(seed=…): that seeds every transform equally, so that a horizontal flip would always come
    # with a vertical one. A shared generator keeps transforms independent.
    pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))

    def augment(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        changed: NDArray[np.float32] = pipeline(image=image)["image"]
        return changed if changed.ndim == 3 else changed[..., None]  # OpenCV drops the axis of gray

    return augment


def _scaled(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what `ToFloat` of Albumentations does, bit for bit, without the cost of a pipeline."""
    return np.divide(image, 255, dtype=np.float32)


def augmented_examples(
    images: NDArray[np.uint8], name: str, seed: int, count: int = 16
) -> NDArray[np.float32]:
    """Return training images as the model sees them: float32 (count, H, W, C) in [0, 1].

    Args:
        images: (N, H, W, C), 0-255.
        name: as in `augmentation`.
        seed: determines the images and their changes.
        count: number of images, reduced to N if larger.
    """
    generator = np.random.default_rng(seed)
    rows = generator.choice(len(images), min(count, len(images)), replace=False)
    augment = augmentation(name, images.shape[1:3], int(generator.integers(2**32)))
    return np.stack([augment(images[row]) for row in rows])
