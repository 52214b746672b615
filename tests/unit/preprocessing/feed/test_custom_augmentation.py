"""A user's augmentation: sent as text, checked before it is constructed, reproducible; and the presets."""

import json
from pathlib import Path

import albumentations as A
import numpy as np
import pytest

from helpers.global_config import Config
from helpers.settings.errors import ConfigError
from helpers.settings.types import AUGMENTATION_PRESETS
from preprocessing.feed.augment_images import AUGMENTATIONS, augmentation
from preprocessing.feed.custom_augmentation import embed_custom_augmentation

SHAPE = (20, 16)
IMAGE = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)


def carried(file: Path) -> str:
    text: str = embed_custom_augmentation(Config(AUGMENTATION=str(file), INPUT_SHAPE=SHAPE)).AUGMENTATION
    return text


def saved(folder: Path, *transforms: A.BasicTransform, kind: str = "json") -> Path:
    file = folder / f"own.{kind}"
    A.save(A.Compose(list(transforms)), file, data_format=kind)
    return file


def content(folder: Path, transform: object) -> Path:
    file = folder / "own.json"
    file.write_text(json.dumps({"transform": transform}))
    return file


def test_the_settings_know_the_presets():
    assert set(AUGMENTATION_PRESETS) == {*AUGMENTATIONS, "none"}


@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_a_file_travels_as_its_content_and_does_what_it_says(kind, tmp_path):
    text = carried(saved(tmp_path, A.VerticalFlip(p=1), A.InvertImg(p=1), kind=kind))
    assert text == Config.from_run(Config(AUGMENTATION=text).for_run()).AUGMENTATION
    (tmp_path / f"own.{kind}").unlink()
    changed = augmentation(text, SHAPE, seed=1)(IMAGE)
    assert changed.dtype == np.float32
    np.testing.assert_allclose(changed, (255 - IMAGE[::-1]) / np.float32(255), rtol=0, atol=1e-6)


def test_images_follow_from_the_seed(tmp_path):
    text = carried(saved(tmp_path, A.GaussNoise(p=1), A.OneOf([A.HorizontalFlip(p=1), A.Transpose(p=0)])))
    first, again, other = (augmentation(text, SHAPE, seed)(IMAGE) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_pipeline_that_scales_is_not_scaled_again(tmp_path):
    text = carried(saved(tmp_path, A.HorizontalFlip(p=1), A.ToFloat(max_value=255)))
    np.testing.assert_allclose(
        augmentation(text, SHAPE, 0)(IMAGE), IMAGE[:, ::-1] / np.float32(255), atol=1e-6
    )


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        (
            [A.Resize(8, 8)],
            r"returns images \(8, 8, 3\), expected \(20, 16, 3\); end it with A.Resize\(20, 16\)",
        ),
        ([A.Normalize()], "leave A.Normalize out"),
        ([A.ToFloat(max_value=65535)], "to mean 0.0019.* scale once"),
        ([A.ToFloat(max_value=4095)], "nearly constant"),
        ([A.ToFloat(max_value=255), A.Normalize(0, 1, max_pixel_value=255)], "nearly constant"),
        ([A.Normalize(0, 1, max_pixel_value=65535)], "nearly constant"),
        ([A.MultiplicativeNoise((0.001, 0.002), p=1)], "nearly constant"),
        ([A.RandomBrightnessContrast((1, 1), 0, p=1)], "nearly constant"),
        ([A.RandomCrop(64, 64, p=1)], "the pipeline fails on an image"),
    ],
)
def test_a_pipeline_that_networks_cannot_use_is_refused(transforms, message, tmp_path):
    with pytest.raises(ConfigError, match=f"^AUGMENTATION: .*{message}") as caught:
        carried(saved(tmp_path, *transforms))
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        ({"__class_fullname__": "os.system", "command": "true"}, "'os.system' is not allowed in a file"),
        ({"__class_fullname__": "Lambda", "__name__": "x", "p": 1}, "'Lambda' is not allowed"),
        (
            {"__class_fullname__": "TextImage", "font_path": "/etc/passwd", "p": 1},
            "'TextImage' is not allowed",
        ),
        (
            {"__class_fullname__": "Compose", "p": 1, "transforms": [{"__class_fullname__": "FDA", "p": 1}]},
            "'FDA' is not allowed",
        ),
        (
            {"__class_fullname__": "HorizontalFlip", "color": 3, "p": 1},
            "not a pipeline that A.save wrote: .*color",
        ),
        ({"__class_fullname__": "Blur", "blur_limit": "wide", "p": 1}, "not a pipeline that A.save wrote"),
        ({"p": 1}, "None is not allowed"),
        (["HorizontalFlip"], "is not allowed"),
    ],
)
def test_only_built_in_transforms_are_constructed(transform, message, tmp_path):
    with pytest.raises(ConfigError, match=f"^AUGMENTATION: .*{message}"):
        carried(content(tmp_path, transform))
    with pytest.raises(ConfigError, match=message):  # at a worker, whatever the origin
        augmentation(json.dumps({"transform": transform}), SHAPE, seed=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[1]", "expected an entry `transform`"),
        ("a: !!python/object/apply:os.getcwd []", "cannot be read"),
        ("x" * 70_000, "has over 65536 bytes"),
    ],
)
def test_an_unsuitable_file_is_refused_in_one_line(text, message, tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"^AUGMENTATION: .*own.yaml.*{message}") as caught:
        carried(file)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"absent\.yaml cannot be read"):
        carried(tmp_path / "absent.yaml")


def test_a_worker_reads_no_file(tmp_path):
    with pytest.raises(ConfigError, match="expected readme, light, strong, ultrasound, none"):
        augmentation(str(saved(tmp_path, A.HorizontalFlip())), SHAPE, seed=0)


@pytest.mark.parametrize("name", ["strong", "ultrasound"])
def test_medical_presets_change_much_and_never_turn_upside_down(name):
    image = np.zeros((48, 48, 3), np.uint8)
    image[:20] = 200  # bright above
    augment = augmentation(name, (48, 48), seed=3)
    seen = np.stack([augment(image) for _ in range(60)])
    assert (seen.dtype, seen.min() >= 0, seen.max() <= 1) == (np.float32, True, True)
    assert len({one.tobytes() for one in seen}) > 45
    assert (seen[:, :14].mean((1, 2, 3)) > seen[:, -14:].mean((1, 2, 3))).all()
    spread = seen.max(-1) - seen.min(-1)
    assert spread.max() < 1e-6  # gray stays gray


@pytest.mark.parametrize("name", ["strong", "ultrasound"])
@pytest.mark.parametrize("side", [32, 128])
def test_medical_presets_leave_dark_images_visible(name, side):
    generator = np.random.default_rng(0)
    image = generator.normal(70, 25, (side, side, 1)).clip(0, 255).astype(np.uint8)
    augment = augmentation(name, (side, side), seed=0)
    black = [float((augment(image) < 0.02).mean()) for _ in range(300)]
    assert max(black) < 0.5


def test_ultrasound_moves_an_image_by_little():
    """A spot in the middle moves by about 6 % of the side, and about half of the images are flipped."""
    spot = np.zeros((100, 100, 1), np.uint8)
    spot[45:55, 45:55] = 255
    sides = np.zeros((100, 100, 1), np.uint8)
    sides[:, :50] = 200
    places, flips = [], 0
    for seed in range(100):
        places.append(center(augmentation("ultrasound", (100, 100), seed)(spot)))
        changed = augmentation("ultrasound", (100, 100), seed)(sides)
        flips += changed[:, 75:].mean() > changed[:, :25].mean()
    moved = np.abs(np.array(places) - 49.5).max(axis=0)
    assert (moved > 4).all()
    assert (moved < 7).all()
    assert 35 < flips < 65


def center(image: np.ndarray) -> np.ndarray:
    """Return row and column of the center of gravity of what is bright."""
    return np.argwhere(image[..., 0] > 0.4).mean(axis=0)
