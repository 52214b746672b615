"""The command export: what it writes gives the scores of Keras, or is not left."""

import importlib.util
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import run
from commands import export as exporting
from helpers.architectures.seed_cnn import build_seed_cnn

SHAPE = (20, 24, 3)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> SimpleNamespace:
    """A model with trained batch normalization, so that inference differs from training."""
    folder = tmp_path_factory.mktemp("export")
    keras.utils.set_random_seed(0)
    model = build_seed_cnn(SHAPE)
    generator = np.random.default_rng(0)
    model.set_weights([array + generator.normal(0, 0.02, array.shape) for array in model.get_weights()])
    file = folder / "best.keras"
    model.save(file)
    return SimpleNamespace(model=model, file=file)


@pytest.fixture
def out(tmp_path, monkeypatch) -> Path:
    """A folder to write to; no images are prepared."""
    monkeypatch.setenv("DT_PREPROCESSED_DIR", str(tmp_path / "none"))
    return tmp_path / "out"


def export(*words: object) -> int:
    """What `python run.py export …` does inside the environment."""
    return run.call("export", list(map(str, words)))


def test_a_saved_model_has_the_scores_of_keras(place, out, capsys) -> None:
    assert export(place.file, "--out", out) == 0
    assert [path.name for path in out.iterdir()] == ["best.savedmodel"]
    images = np.random.default_rng(1).random((5, *SHAPE), np.float32)
    loaded, expected = tf.saved_model.load(out / "best.savedmodel"), place.model(images, training=False)
    np.testing.assert_allclose(loaded.serve(images), expected, rtol=0, atol=1e-5)
    assert 0.01 < np.min(expected) < np.max(expected) < 0.99  # otherwise any model would do
    printed = capsys.readouterr().out
    assert "best.savedmodel: differs from Keras by " in printed
    assert re.search(r"on 16 noise images \(.* has none of 20x24x3\), scored 0\.\d{3} to 0\.\d{3}", printed)
    assert "scores of at least 0.5 mean cancerous (the default" in printed
    assert export(place.file, "--out", out) == 0  # in place of the earlier one
    assert [path.name for path in out.iterdir()] == ["best.savedmodel"]


def test_of_several_classes_the_order_of_the_scores_is_said(out, tmp_path, capsys) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input(SHAPE), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3, activation="softmax")]
    )
    model.save(tmp_path / "best.keras")
    (tmp_path / "best.json").write_text('{"threshold": null, "classes": ["normal", "benign", "malignant"]}')
    formats = ["savedmodel"]
    if importlib.util.find_spec("tf2onnx") and importlib.util.find_spec("onnxruntime"):
        formats.append("onnx")
    assert export(tmp_path / "best.keras", "--out", out, "--format", *formats) == 0
    printed = capsys.readouterr().out
    assert "the highest of the 3 scores decides, in this order: normal, benign, malignant" in printed
    assert printed.count("differs from Keras by ") == len(formats)


def test_real_images_are_taken_where_they_fit(place, out, capsys, monkeypatch) -> None:
    images = np.full((40, *SHAPE), 51, np.uint8)
    data = SimpleNamespace(images=lambda split: images)
    monkeypatch.setattr(exporting.PreparedData, "open", lambda folder: data)
    taken, description = exporting.checking_images(SHAPE)
    assert (taken.shape, taken.dtype, description.split(" of ")[0]) == (
        (16, *SHAPE),
        np.float32,
        "16 validation images",
    )
    assert np.all(taken == np.float32(0.2))
    assert "noise" in exporting.checking_images((8, 8, 3))[1]


def test_what_differs_is_refused_and_not_left(place, out, capsys, monkeypatch) -> None:
    def pretend(wrong_by: float) -> None:
        """Give a format scores slightly above those of Keras."""

        def write(model, folder) -> None:
            folder.mkdir()
            (folder / "saved_model.pb").write_text(str(wrong_by))

        def read(folder):
            return lambda images: np.asarray(place.model(images, training=False)) + wrong_by

        monkeypatch.setitem(exporting.FORMATS, "savedmodel", (write, read))

    pretend(5e-5)
    assert export(place.file, "--out", out) == 0
    for wrong_by, printed in (
        (2e-4, "by up to 2.0e-04"),
        (-2e-4, "by up to 2.0e-04"),
        (np.nan, "by up to nan"),
    ):
        pretend(wrong_by)
        assert f"not written: its scores differ from Keras {printed}" in refused(
            capsys, place.file, "--out", out
        )
        assert [path.name for path in out.iterdir()] == ["best.savedmodel"]
        assert (out / "best.savedmodel/saved_model.pb").read_text() == "5e-05"
    refused(capsys, place.file, "--out", out / "other")
    assert list((out / "other").iterdir()) == []

    def cannot(model, folder) -> None:
        raise NotImplementedError("no such layer\nand much more")

    monkeypatch.setitem(exporting.FORMATS, "savedmodel", (cannot, None))
    line = refused(capsys, place.file, "--out", out / "other")
    assert line.endswith("this network cannot be written as savedmodel: no such layer")


def refused(capsys, *words: object) -> str:
    """The one line with which a command is refused."""
    capsys.readouterr()
    assert export(*words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def test_bad_input_is_refused_with_one_line(place, out, capsys) -> None:
    assert "none.keras: not found" in refused(capsys, out / "none.keras", "--out", out)
    table = out.with_name("best.json")
    table.touch()
    assert "best.json: not a Keras model; expected a .keras file" in refused(capsys, table, "--out", out)
    (out / "best.savedmodel").mkdir(parents=True)
    (out / "best.savedmodel/mine.txt").touch()
    assert "is not a SavedModel; move it away" in refused(capsys, place.file, "--out", out)
    assert (out / "best.savedmodel/mine.txt").exists()
    (out / "file").touch()
    assert "could not be written" in refused(capsys, place.file, "--out", out / "file")


def test_onnx_has_the_scores_of_keras(place, out, capsys) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    assert export(place.file, "--format", "onnx", "--out", out) == 0
    assert [path.name for path in out.iterdir()] == ["best.onnx"]
    images = np.random.default_rng(1).random((5, *SHAPE), np.float32)
    session = onnxruntime.InferenceSession(out / "best.onnx")
    (scores,) = session.run(None, {session.get_inputs()[0].name: images})
    np.testing.assert_allclose(scores, place.model(images, training=False), rtol=0, atol=1e-5)
    assert "best.onnx: differs from Keras by " in capsys.readouterr().out


def test_onnx_metadata_has_classes_and_threshold(place, out, tmp_path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    shutil.copy(place.file, tmp_path / "best.keras")
    facts = {
        "run": "first",
        "classes": ["benign", "malignant"],
        "threshold": 0.25,
        "threshold_rule": "youden",
    }
    (tmp_path / "best.json").write_text(json.dumps(facts))
    assert export(tmp_path / "best.keras", "--format", "onnx", "--out", out) == 0
    session = onnxruntime.InferenceSession(out / "best.onnx")
    stored = session.get_modelmeta().custom_metadata_map
    assert {name: json.loads(text) for name, text in stored.items()} == {**facts, "pixels": "0..1"}


def test_missing_packages_are_named_before_anything_is_done(place, out, capsys, monkeypatch) -> None:
    monkeypatch.setattr(exporting, "ONNX_PACKAGES", ("onnx_of_another_day", "json"))
    line = refused(capsys, place.file, "--format", "savedmodel", "onnx", "--out", out)
    assert "needs onnx_of_another_day; `python run.py setup export` installs" in line
    assert not out.exists()
