"""The command predict: the scores of training, for files, with a decision and pictures."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import keras
import numpy as np
import pandas as pd
import pytest

import run
from commands.predictions import CAUTION
from helpers.architectures.seed_cnn import build_seed_cnn
from helpers.global_config import Config
from helpers.local_training.trainer import predict_scores
from helpers.model_instance_helper import ModelInstance
from preprocessing.feed.input_pipeline import evaluation_batches
from preprocessing.feed.prepared_data import PreparedData
from preprocessing.load_and_create_dataset import prepare
from preprocessing.prepare.sources.dicom import read_dicom
from preprocessing.prepare.sources.image_folder import read_image

SHAPE = (20, 24)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> SimpleNamespace:
    """An image folder, prepared, and a model in models/one/best.keras without best.json."""
    folder = tmp_path_factory.mktemp("predict")
    generator = np.random.default_rng(0)
    for number in range(24):
        image = generator.integers(0, 256, (30, 40, 3), np.uint8)
        file = folder / "images" / str(number % 2) / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), image)
    (folder / "images" / "notes.txt").write_text("no image")
    keras.utils.set_random_seed(0)
    model = build_seed_cnn((*SHAPE, 3))
    model_file = folder / "models" / "one" / "best.keras"
    model_file.parent.mkdir(parents=True)
    model.save(model_file)
    return SimpleNamespace(folder=folder, images=folder / "images", model=model, model_file=model_file)


@pytest.fixture
def named_threshold(place):
    """best.json next to the model."""
    file = place.model_file.with_name("best.json")
    yield lambda text: file.write_text(text)
    file.unlink(missing_ok=True)


def predict(*words: object) -> int:
    """What `python run.py predict …` does inside the environment."""
    return run.call("predict", list(map(str, words)))


def test_a_folder_gets_the_scores_that_training_stored(place, tmp_path, capsys) -> None:
    config = Config(INPUT_SHAPE=SHAPE, DATA_DIR=place.images, PREPROCESSED_DIR=tmp_path / "prepared", SEED=1)
    prepare(config)
    data = PreparedData.open(config.PREPROCESSED_DIR)
    stored = {}
    for split in ("train", "val", "test"):
        batches = evaluation_batches(data.images(split), config.EVALUATION_BATCH_SIZE)
        scores = predict_scores(ModelInstance(place.model), batches)
        stored |= dict(zip(data.files(split), scores, strict=True))
    assert predict(place.model_file, place.images, "--out", tmp_path / "out") == 0
    table = pd.read_csv(tmp_path / "out" / "predictions.csv")
    files = [Path(file).relative_to(place.images).as_posix() for file in table["file"]]
    assert files == sorted(stored)
    np.testing.assert_allclose(table["probability"], [stored[file] for file in files], rtol=0, atol=1e-6)
    assert set(table["note"]) == {CAUTION}
    for name in table["picture"]:
        assert cv2.imread(str(tmp_path / "out" / name)).shape[0] == 384
    shown = capsys.readouterr().out
    assert CAUTION in shown
    assert f"threshold 0.5 (the default: {place.model_file.with_name('best.json')} does not exist)" in shown


def test_a_gray_model_reads_gray_images_and_has_pictures_in_color(place, tmp_path, capsys) -> None:
    model_file = tmp_path / "gray.keras"
    build_seed_cnn((*SHAPE, 1)).save(model_file)
    config = Config(DATA_DIR=place.images, PREPROCESSED_DIR=tmp_path / "p", INPUT_SHAPE=SHAPE, INPUT_DIM=1)
    data = prepare(config)
    model = keras.models.load_model(model_file)
    image = data.files("test")[0]
    expected = predict_scores(ModelInstance(model), evaluation_batches(data.images("test")[:1], 1))
    assert predict(model_file, place.images / image, "--out", tmp_path / "out") == 0
    table = pd.read_csv(tmp_path / "out" / "predictions.csv")
    np.testing.assert_allclose(table["probability"], expected, rtol=0, atol=1e-6)
    assert cv2.imread(str(tmp_path / "out" / table["picture"][0])).shape[2] == 3


def test_the_decision_is_at_the_stored_threshold(place, named_threshold, tmp_path, capsys) -> None:
    image = place.images / "0" / "0.png"
    decisions = []
    for threshold in (0.001, 0.999):
        named_threshold(json.dumps({"threshold": threshold}))
        assert predict(place.model_file, image, "--out", tmp_path) == 0
        assert f"threshold {threshold} (of " in capsys.readouterr().out
        decisions += list(pd.read_csv(tmp_path / "predictions.csv")["decision"])
    assert decisions == ["1 cancerous", "0 non-cancerous"]


def test_decisions_have_the_names_of_the_classes(place, named_threshold, tmp_path, capsys) -> None:
    named_threshold(json.dumps({"threshold": 0.001, "classes": ["benign", "malignant"]}))
    assert predict(place.model_file, place.images / "0" / "0.png", "--out", tmp_path) == 0
    assert pd.read_csv(tmp_path / "predictions.csv")["decision"].tolist() == ["1 malignant"]
    assert "1 malignant" in capsys.readouterr().out


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> SimpleNamespace:
    """A tiny model of three classes, models/three/best.keras, without best.json."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((*SHAPE, 3)),
            layers.Conv2D(4, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model_file = tmp_path_factory.mktemp("three") / "best.keras"
    model.save(model_file)
    return SimpleNamespace(model=model, model_file=model_file, best=model_file.with_name("best.json"))


def test_of_several_classes_the_most_probable_is_decided_and_each_has_its_column(
    place, three, tmp_path, capsys
) -> None:
    three.best.write_text(json.dumps({"threshold": None, "classes": ["normal", "benign", "malignant"]}))
    assert predict(three.model_file, place.images, "--out", tmp_path) == 0
    table = pd.read_csv(tmp_path / "predictions.csv")
    images = np.stack([read_image(Path(file), (*SHAPE, 3)).pixels for file in table["file"]])
    scores = np.concatenate([three.model.predict_on_batch(each) for each in evaluation_batches(images, 32)])
    assert list(table) == [
        "file", "probability", "decision", "picture", "probability_normal", "probability_benign",
        "probability_malignant", "threshold", "note",
    ]  # fmt: skip
    np.testing.assert_allclose(table[list(table)[4:7]], scores, atol=1e-6)
    np.testing.assert_allclose(table["probability"], scores.max(axis=1), atol=1e-6)
    called = np.array(["0 normal", "1 benign", "2 malignant"])[scores.argmax(axis=1)]
    assert table["decision"].tolist() == called.tolist()
    assert len(set(called)) > 1  # otherwise any rule would do
    assert table["threshold"].isna().all()
    printed = capsys.readouterr().out
    assert f"decided: the most probable class; {CAUTION}" in printed
    assert "threshold" not in printed


def test_classes_without_names_are_called_by_their_numbers(place, three, tmp_path, capsys) -> None:
    for classes in (None, ["benign", "malignant"], "abc"):
        three.best.write_text(json.dumps({"threshold": None, "classes": classes}))
        assert predict(three.model_file, place.images / "0" / "0.png", "--out", tmp_path) == 0
        table = pd.read_csv(tmp_path / "predictions.csv")
        assert str(table["decision"][0]) in "012"
        assert list(table)[4:7] == ["probability_0", "probability_1", "probability_2"]


def test_a_terminal_says_what_is_waited_for_and_a_file_does_not(
    place, three, tmp_path, capsys, monkeypatch
) -> None:
    for is_terminal in ("", "1"):
        monkeypatch.setenv("FORCE_COLOR", is_terminal)
        assert predict(three.model_file, place.images / "0" / "0.png", "--out", tmp_path) == 0
        printed = capsys.readouterr()
        for waiting in ("loading TensorFlow", "loading the model", "predicting the images"):
            assert (waiting in printed.out) == bool(is_terminal)
            assert waiting not in printed.err


def test_dicom_files_are_read_as_preprocessing_does(place, tmp_path, capsys) -> None:
    from tests.unit.preprocessing.prepare.sources.test_dicom import (  # skips where pydicom is not installed
        mammogram,
        save,
    )

    folder = tmp_path / "dicom"
    folder.mkdir()
    for name in ("a.dcm", "b"):  # known by its suffix, and by its start
        save(folder / name, mammogram(), bits=8)
    (folder / "notes.txt").write_text("no image")
    expected = [
        place.model.predict_on_batch(next(evaluation_batches(image[None], 1)))[0, 0]
        for image in (read_dicom(folder / "b", (*SHAPE, 3), crop).pixels for crop in (False, True))
    ]
    for probability, options in zip(expected, ([], ["--crop-breast"]), strict=True):
        assert predict(place.model_file, folder, "--out", tmp_path / "out", *options) == 0
        table = pd.read_csv(tmp_path / "out" / "predictions.csv")
        assert [Path(file).name for file in table["file"]] == ["a.dcm", "b"]
        np.testing.assert_allclose(table["probability"], probability, rtol=0, atol=1e-6)
    assert expected[0] != pytest.approx(expected[1], abs=1e-5)
    (folder / "a.dcm").write_bytes(b"no DICOM file")
    assert "a.dcm (damaged, or not a DICOM image" in refused(capsys, place.model_file, folder / "a.dcm")


def test_another_model_does_not_take_the_threshold_of_the_best(
    place, named_threshold, tmp_path, capsys
) -> None:
    named_threshold(json.dumps({"threshold": 0.001}))
    last = place.model_file.with_name("last.keras")
    shutil.copy(place.model_file, last)
    assert predict(last, place.images / "0" / "0.png", "--out", tmp_path) == 0
    assert "threshold 0.5 (the default: only a best.keras has one" in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "predictions.csv")["threshold"].tolist() == [0.5]


def test_a_later_call_leaves_only_its_own_pictures_and_what_is_not_ours(place, tmp_path, capsys) -> None:
    zero, one = place.images / "0" / "0.png", place.images / "1" / "1.png"
    out = tmp_path / "out"
    assert predict(place.model_file, zero, one, "--out", out) == 0
    (out / "0003_mine.png").touch()
    table = out / "predictions.csv"
    (tmp_path / "0000_far.png").touch()
    table.write_text(table.read_text() + "x,1,y,../0000_far.png,1,z\nx,1,y,notes.txt,1,z\n")
    (out / "notes.txt").touch()
    assert predict(place.model_file, one, "--out", out) == 0
    assert sorted(file.name for file in out.iterdir()) == [
        "0001_1.png", "0003_mine.png", "notes.txt", "predictions.csv",
    ]  # fmt: skip
    assert (tmp_path / "0000_far.png").exists()


def test_a_table_that_is_not_ours_is_kept(place, tmp_path, capsys) -> None:
    (tmp_path / "predictions.csv").write_text("patient,diagnosis\n7,healthy\n")
    line = refused(capsys, place.model_file, place.images / "0" / "0.png", "--out", tmp_path)
    assert "not written by an earlier call" in line
    assert "choose another --out" in line
    assert (tmp_path / "predictions.csv").read_text() == "patient,diagnosis\n7,healthy\n"


def test_best_json_without_a_threshold_means_one_half(place, named_threshold, tmp_path, capsys) -> None:
    named_threshold('{"run": "one"}')
    assert predict(place.model_file, place.images / "0" / "0.png", "--out", tmp_path) == 0
    assert "best.json has none" in capsys.readouterr().out


def test_a_long_list_is_cut_in_the_terminal_alone(place, tmp_path, capsys) -> None:
    assert predict(place.model_file, place.images, place.images, "--out", tmp_path) == 0
    assert "… and 8 more" in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "predictions.csv")) == 48


def test_a_wrong_path_is_answered_without_tensorflow(tmp_path) -> None:
    program = f"""
import sys, run
status = run.call("predict", [{str(tmp_path / "none.keras")!r}, {str(tmp_path)!r}])
print(status, "tensorflow" in sys.modules)
"""
    (tmp_path / "image.png").touch()
    done = subprocess.run([sys.executable, "-c", program], cwd=run.ROOT, capture_output=True, text=True)
    assert done.stdout == "2 False\n"
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def refused(capsys, *words: object) -> str:
    """The one line with which a command is refused."""
    assert predict(*words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def test_bad_input_is_refused_with_one_line(place, named_threshold, tmp_path, capsys) -> None:
    image, out = place.images / "0" / "0.png", ("--out", tmp_path / "out")
    text = place.images / "notes.txt"
    empty = tmp_path / "empty"
    empty.mkdir()
    other = tmp_path / "other.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]).save(other)
    (tmp_path / "broken.keras").write_bytes(b"PK no model")
    assert "none.png: not found" in refused(capsys, place.model_file, tmp_path / "none.png", *out)
    assert "no images in this folder" in refused(capsys, place.model_file, empty, *out)
    assert "notes.txt (damaged, or not an image)" in refused(capsys, place.model_file, text, image, *out)
    assert "none.keras: not found" in refused(capsys, tmp_path / "none.keras", image, *out)
    assert "cannot be loaded as a Keras model" in refused(capsys, tmp_path / "broken.keras", image, *out)
    assert "not a Keras model; expected a .keras file" in refused(capsys, text, image, *out)
    assert "none.keras: not found" in refused(capsys, tmp_path / "none.keras", tmp_path / "none.png", *out)
    assert "expected (None, H, W, 3 or 1)" in refused(capsys, other, image, *out)
    assert "could not be written" in refused(capsys, place.model_file, image, "--out", text)
    named_threshold("no json")
    assert "its threshold cannot be read" in refused(capsys, place.model_file, image, *out)
    assert not (tmp_path / "out").exists()


def test_pictures_can_be_left_out(place, tmp_path, capsys) -> None:
    assert predict(place.model_file, place.images / "0", "--out", tmp_path, "--no-pictures") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.csv"]
    assert set(pd.read_csv(tmp_path / "predictions.csv", keep_default_na=False)["picture"]) == {""}
    assert "in the same folder" not in capsys.readouterr().out


def test_unusable_files_are_left_out_if_asked(place, tmp_path, capsys) -> None:
    shutil.copytree(place.images / "0", tmp_path / "study")
    (tmp_path / "study/report.dcm").write_bytes(b"a report without pixels")
    words = (place.model_file, tmp_path / "study", "--out", tmp_path / "out", "--no-pictures")
    assert predict(*words) == 2
    assert "or leave them out with --skip-unreadable" in capsys.readouterr().err
    assert predict(*words, "--skip-unreadable") == 0
    assert len(pd.read_csv(tmp_path / "out/predictions.csv")) == 12
    assert "left out, unreadable (1)" in capsys.readouterr().out
    for file in (tmp_path / "study").glob("*.png"):
        file.unlink()
    assert predict(*words, "--skip-unreadable") == 2


def test_pictures_that_mark_nothing_are_counted(place, tmp_path, capsys) -> None:
    model = keras.models.clone_model(place.model)
    model.set_weights([np.zeros_like(array) for array in model.get_weights()])
    model.save(tmp_path / "zero.keras")
    assert predict(tmp_path / "zero.keras", place.images / "0" / "0.png", "--out", tmp_path / "out") == 0
    assert "1 of 1 pictures mark no region: nothing in these images supports" in capsys.readouterr().out
