"""Models to evaluate: those of runs, plain Keras files and ONNX files give the scores that they should."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from commands.export import write_onnx
from commands.scorers import PIXELS, open_scorer
from helpers.architectures.seed_cnn import build_seed_cnn
from helpers.global_config import Config
from helpers.local_training.trainer import predict_scores
from helpers.model_instance_helper import ModelInstance
from helpers.settings.errors import UserError
from preprocessing.feed.input_pipeline import evaluation_batches

SHAPE = (20, 24, 3)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> SimpleNamespace:
    """A run `first` with best.json, and the same model as a plain file."""
    folder = tmp_path_factory.mktemp("scorers")
    keras.utils.set_random_seed(0)
    model = build_seed_cnn(SHAPE)
    file = folder / "models/first/best.keras"
    file.parent.mkdir(parents=True)
    model.save(file)
    facts = {
        "run": "first",
        "classes": ["benign", "malignant"],
        "threshold": 0.25,
        "threshold_rule": "youden",
    }
    file.with_name("best.json").write_text(json.dumps(facts))
    plain = folder / "plain.keras"
    shutil.copy(file, plain)
    images = np.random.default_rng(0).integers(0, 256, (40, *SHAPE), np.uint8)
    return SimpleNamespace(folder=folder, file=file, plain=plain, model=model, images=images)


def scorer(
    place, name: object, pixels: str | None = None, threshold: float | None = None, **settings: object
):
    return open_scorer(str(name), Config(MODELS_DIR=place.folder / "models", **settings), pixels, threshold)


def scores(of, place) -> np.ndarray:
    return of.scores(place.images, lambda step, done, total: None)


def test_a_run_gives_the_scores_of_its_training_with_its_threshold_and_classes(place) -> None:
    own = scorer(place, "first")
    assert (own.run, own.threshold, own.class_names) == ("first", 0.25, ("benign", "malignant"))
    assert own.shape == SHAPE
    expected = predict_scores(ModelInstance(place.model), evaluation_batches(place.images, 32))
    np.testing.assert_allclose(scores(own, place), expected, rtol=0, atol=1e-6)
    assert scores(scorer(place, place.file), place).shape == (40,)


@pytest.mark.parametrize("pixels", PIXELS)
def test_a_plain_model_gets_the_pixels_that_the_user_says(place, pixels) -> None:
    plain = scorer(place, place.plain, pixels, 0.4, CLASS_NAMES=("a", "b"))
    assert (plain.run, plain.threshold, plain.class_names) == ("", 0.4, ("a", "b"))
    mean, deviation = (np.array(values) for values in PIXELS[pixels])
    images = ((place.images / 255 - mean) / deviation).astype(np.float32)
    expected = place.model(images, training=False).numpy()[:, 0]
    np.testing.assert_allclose(scores(plain, place), expected, rtol=0, atol=1e-5)


def test_a_softmax_of_two_classes_gives_the_second(place, tmp_path) -> None:
    layers = keras.layers
    model = keras.Sequential([layers.Input(SHAPE), layers.Flatten(), layers.Dense(2, activation="softmax")])
    model.save(tmp_path / "two.keras")
    two = scorer(place, tmp_path / "two.keras", "0..1")
    expected = model(place.images / np.float32(255)).numpy()[:, 1]
    np.testing.assert_allclose(scores(two, place), expected, atol=1e-5)


def test_an_onnx_file_gives_the_scores_of_keras_also_with_channels_first(place, tmp_path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    expected = place.model(place.images / np.float32(255), training=False).numpy()[:, 0]
    write_onnx(place.model, tmp_path / "plain.onnx")
    plain = scorer(place, tmp_path / "plain.onnx", "0..1")
    np.testing.assert_allclose(scores(plain, place), expected, rtol=0, atol=1e-5)
    inputs = keras.Input((3, *SHAPE[:2]))
    turned = keras.Model(inputs, place.model(keras.layers.Permute((2, 3, 1))(inputs)))
    turned(np.zeros((1, 3, *SHAPE[:2]), np.float32))  # the export wants a model that was called
    write_onnx(turned, tmp_path / "turned.onnx")
    first = scorer(place, tmp_path / "turned.onnx", "0..1")
    assert first.shape == SHAPE
    np.testing.assert_allclose(scores(first, place), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("second", {}, "second: not found; expected a finished run"),
        ("plain.keras", {}, "say how pixels were scaled: --pixels 0..1 or 0..255"),
        ("first", {"pixels": "0..255"}, "was trained here, on pixels 0..1; leave"),
        ("first", {"threshold": 0.3}, "has one, 0.25; leave the option out"),
        ("plain.keras", {"pixels": "0..1", "CLASS_NAMES": ("a", "b", "c")}, "received 3, .* has 2 classes"),
        ("notes.txt", {}, "not a model; expected a .keras or .onnx file"),
    ],
)
def test_what_cannot_be_used_is_refused(place, monkeypatch, name, options, said) -> None:
    (place.folder / "notes.txt").touch()
    monkeypatch.chdir(place.folder)
    with pytest.raises(UserError, match=said):
        scorer(place, name, **options)


def test_outputs_that_are_no_probabilities_are_refused(place, tmp_path: Path) -> None:
    model = keras.Sequential([keras.layers.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(1)])
    model.save(tmp_path / "logits.keras")
    with pytest.raises(UserError, match="expected probabilities; export the model with its sigmoid"):
        scores(scorer(place, tmp_path / "logits.keras", "0..255"), place)


@pytest.mark.parametrize("content", [b"no model", b""])
def test_a_damaged_onnx_file_is_one_line(place, tmp_path, content) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "damaged.onnx").write_bytes(content)
    with pytest.raises(UserError, match=r"damaged.onnx: cannot be used, expected ONNX with one input"):
        scorer(place, tmp_path / "damaged.onnx", "0..1")


def test_facts_of_another_form_are_not_used(place, tmp_path) -> None:
    shutil.copy(place.file, tmp_path / "last.keras")
    facts = {"run": "../other", "classes": ["a", 1], "threshold_rule": "luck", "data_digest": 3}
    (tmp_path / "best.json").write_text(json.dumps(facts))
    of_last = scorer(place, tmp_path / "last.keras", "0..1")
    assert (of_last.run, of_last.facts, of_last.class_names) == ("", {}, ("non-cancerous", "cancerous"))
