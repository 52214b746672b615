"""The command evaluate, with a model that scores images by their brightness."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

import run
from commands import evaluation
from commands.scorers import Scorer
from commands.seen_images import seen_in
from helpers.global_config import Config
from helpers.reporting import operating_curves
from preprocessing.load_and_create_dataset import prepare

SIDE = 8
HEADER = "file,label,patient,device,histology"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(operating_curves, "RESAMPLES", 20)


def write_images(folder: Path, seed: int = 0, number: int = 48) -> None:
    """Write gray images with a manifest: class 1 is brighter, and two images show each patient."""
    generator = np.random.default_rng(seed)
    lines = [HEADER]
    for index in range(number):
        label, patient = index // 2 % 2, index // 2
        level = int(np.clip(90 + 70 * label + generator.normal(0, 40), 5, 250))
        image = np.clip(generator.normal(level, 4, (SIDE, SIDE)), 0, 255).astype(np.uint8)
        file = f"{label}/{index}.png"
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / file), image)
        lines.append(f"{file},{label},P{patient},{['GE', 'Toshiba', 'GE'][patient % 3]},kind {label}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with images and a run `first`, trained on other images, whose model scores by brightness."""
    for name in ("metrics", "models", "preprocessed"):
        monkeypatch.setenv(
            f"DT_{'PREPROCESSED' if name[0] == 'p' else name.upper()}_DIR", str(tmp_path / name)
        )
    write_images(tmp_path / "training", seed=1)
    data = prepare(
        Config(
            DATA_DIR=tmp_path / "training", PREPROCESSED_DIR=tmp_path / "preprocessed/training",
            INPUT_SHAPE=(SIDE, SIDE), INPUT_DIM=1, NEAR_COPIES="off",
        )
    )  # fmt: skip
    file = tmp_path / "models/first/best.keras"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"a model")
    results = tmp_path / "metrics/first"
    results.mkdir(parents=True)
    (results / "run.json").write_text("{}")
    (results / "test.csv").write_text("model,roc_auc\nbest,0.9\n")
    facts = {"run": "first", "classes": ["benign", "malignant"], "threshold": 0.5, "data_digest": data.digest}
    scorer = Scorer(
        file, "first", (SIDE, SIDE, 1), ("benign", "malignant"), 0.5, "of best.json", "0..1", facts,
        lambda images: images.mean(axis=(1, 2)),
    )  # fmt: skip
    monkeypatch.setattr(evaluation, "open_scorer", lambda *arguments: scorer)
    write_images(tmp_path / "hospital")
    return tmp_path


def evaluate(place: Path, *words: object) -> Path:
    """What `python run.py evaluate first …` does; returns the folder of the results."""
    assert run.call("evaluate", ["first", *map(str, words)]) == 0
    (folder,) = (place / "metrics/evaluations").iterdir()
    return folder


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / name, keep_default_na=False)


def test_a_folder_gets_tables_a_page_and_a_line_in_the_model_card(place, capsys):
    folder = evaluate(place, place / "hospital")
    assert folder.name == "first-on-hospital"
    names = {"evaluation.csv", "groups.csv", "predictions.csv", "report.html"}
    assert {path.name for path in folder.iterdir()} == names
    own, chosen = table(folder, "evaluation.csv").to_dict("records")
    assert (own["threshold_is"], own["threshold"], own["num_examples"], own["num_patients"]) == (
        "stored", 0.5, 48, 24,
    )  # fmt: skip
    assert "optimistic" in chosen["threshold_is"]
    assert chosen["balanced_accuracy"] >= own["balanced_accuracy"]
    assert float(own["roc_auc_low"]) < own["roc_auc"] < float(own["roc_auc_high"])
    predictions = table(folder, "predictions.csv")
    right = (predictions["decision"] == predictions["true"]).mean()
    assert right == pytest.approx(own["accuracy"])
    groups = table(folder, "groups.csv")
    assert set(groups.loc[groups["split"] == "test", "value"]) == {"all", "GE", "Toshiba"}
    assert "fixes the class" in groups.loc[groups["column"] == "histology", "note"].item()
    page = (folder / "report.html").read_text()
    assert "not as expected" not in page
    sections = ("At other thresholds", "All groups of the test images", "What was evaluated")
    for words in (*sections, "spread over patients drawn again"):
        assert words in page
    card = (place / "models/first/model_card.md").read_text()
    assert (
        "[first-on-hospital](../../metrics/evaluations/first-on-hospital/report.html) | 48 | 24 | 0 |" in card
    )
    shown = capsys.readouterr().out
    assert "WARNING" not in shown
    assert "optimistic" in shown
    assert "No group has enough patients" in shown or "Worst group" in shown


@pytest.mark.parametrize("missing", ["run.json", "test.csv"])
def test_without_the_results_of_the_run_its_card_stays(place, missing):
    card = place / "models/first/model_card.md"
    card.write_text("a card")
    (place / "metrics/first" / missing).unlink()
    evaluate(place, place / "hospital")
    assert card.read_text() == "a card"


def test_without_a_name_only_the_same_model_and_images_are_replaced(place, capsys):
    folder = evaluate(place, place / "hospital")
    evaluate(place, place / "hospital")
    other = place / "elsewhere/hospital"
    write_images(other)
    assert run.call("evaluate", ["first", str(other)]) == 2
    assert "replace it with --name first-on-hospital" in capsys.readouterr().err
    digest = evaluation.open_scorer().digest
    evaluation.open_scorer().__dict__["digest"] = "f" * 64
    assert run.call("evaluate", ["first", str(place / "hospital")]) == 2
    assert set(table(folder, "evaluation.csv")["model_digest"]) == {digest}
    evaluate(place, place / "hospital", "--name", folder.name)
    assert set(table(folder, "evaluation.csv")["model_digest"]) == {"f" * 64}


def test_the_split_and_another_file_of_the_run_are_in_the_name(place):
    assert run.call("evaluate", ["first", str(place / "preprocessed/training"), "--split", "val"]) == 0
    file = place / "models/first/last.keras"
    file.write_bytes(b"the last model")
    object.__setattr__(evaluation.open_scorer(), "file", file)
    assert run.call("evaluate", ["first", str(place / "hospital")]) == 0
    names = {path.name for path in (place / "metrics/evaluations").iterdir()}
    assert names == {"first-on-training-val", "first-last-on-hospital"}


def test_two_classes_may_have_other_names_if_it_is_clear_which_is_class_1(place, capsys):
    manifest = place / "hospital/manifest.csv"
    rows = pd.read_csv(manifest)
    rows.assign(label=rows["label"].map({0: "normal", 1: "cancer"})).to_csv(manifest, index=False)
    folder = evaluate(place, place / "hospital")
    said = "The classes have other names than the model's: normal as benign, cancer as malignant"
    assert said in capsys.readouterr().out
    assert table(folder, "evaluation.csv")["roc_auc"][0] > 0.7
    rows.assign(label=rows["label"].map({0: "left", 1: "right"})).to_csv(manifest, index=False)
    assert run.call("evaluate", ["first", str(place / "hospital")]) == 2
    assert '--positive-class "left" or --positive-class "right"' in capsys.readouterr().err
    evaluate(place, place / "hospital", "--positive-class", "right")


def test_images_of_the_training_are_recognized_loudly_and_the_status_is_0(place, capsys):
    folder = evaluate(place, place / "training")
    manifest = json.loads((place / "preprocessed/training/manifest.json").read_text())
    splits = {entry["file"]: entry["split"] for entry in manifest["files"]}
    number = sum(split == "train" for split in splits.values())
    assert f"WARNING: the model was TRAINED on {number} of these 48 images" in capsys.readouterr().out
    assert table(folder, "evaluation.csv")["num_trained_on"].tolist() == [number] * 2
    assert table(folder, "evaluation.csv")["num_of_own_run"].tolist() == [48] * 2
    predictions = table(folder, "predictions.csv")
    assert dict(zip(predictions["file"], predictions["seen_in"], strict=True)) == splits
    assert "WARNING: the model was TRAINED" in (folder / "report.html").read_text()


def test_of_copies_in_two_splits_the_one_in_the_training_counts():
    files = [{"sha256": "copy", "split": split} for split in ("val", "train", "test")]
    assert seen_in(["copy", "other", ""], {"files": files}) == ["train", "", ""]


def test_a_file_whose_name_is_not_utf_8_spoils_no_evaluation(place):
    write_images(place / "odd")
    (place / "odd/manifest.csv").unlink()
    folder = evaluate(place, place / "odd")
    try:
        shutil.copy(place / "odd/0/0.png", os.fsencode(place / "odd/0") + b"/caf\xe9.png")
    except OSError:
        pytest.skip("this system has no such names")
    assert evaluate(place, place / "odd") == folder
    assert table(folder, "evaluation.csv")["num_examples"].tolist() == [49] * 2
    assert "0/caf\\udce9.png" in table(folder, "predictions.csv")["file"].tolist()


def test_what_could_not_be_checked_is_empty_and_a_threshold_says_where_it_is_from(place, monkeypatch):
    scorer = evaluation.open_scorer()
    other = replace(scorer, origin="of --threshold", facts=scorer.facts | {"data_digest": "unknown"})
    monkeypatch.setattr(evaluation, "open_scorer", lambda *arguments: other)
    folder = evaluate(place, place / "hospital")
    own = table(folder, "evaluation.csv").iloc[0]
    assert (own["threshold_is"], own["num_trained_on"], own["num_of_own_run"]) == ("of --threshold", "", "")
    assert "at the threshold 0.500, of --threshold" in (folder / "report.html").read_text()
    assert replace(scorer, origin="the default: best.json has none").threshold_is == "the default"
    assert "| unknown | unknown |" in (place / "models/first/model_card.md").read_text()


def test_prepared_images_are_used_as_they_are_and_by_split(place, capsys):
    folder = evaluate(place, place / "preprocessed/training", "--split", "test", "--name", "own")
    shown = capsys.readouterr().out
    assert "WARNING" not in shown
    assert "are from the test of its run: they are not an external validation" in " ".join(shown.split())
    assert set(table(folder, "predictions.csv")["seen_in"]) == {"test"}


def test_the_manifest_itself_names_its_folder_and_rare_values_are_merged(place):
    manifest = place / "hospital/manifest.csv"
    folder = evaluate(place, manifest, "--group-by", "device", "--merge-below", "20", "--name", "merged")
    groups = table(folder, "groups.csv")
    assert set(groups["value"]) == {"all", "GE", "other"}
    assert set(groups["column"]) == {"", "device"}


def test_where_the_training_images_are_not_here_that_is_said(place, capsys):
    (place / "preprocessed").rename(place / "elsewhere")
    evaluate(place, place / "hospital")
    assert "could not be checked whether the model was trained on these images" in capsys.readouterr().out
    kept = place / "metrics/first/manifest.json"  # the run keeps its own copy
    content = (place / "elsewhere/training/manifest.json").read_bytes()
    kept.write_bytes(content + b"\n")  # that of another run of this name
    evaluate(place, place / "hospital")
    assert "could not be checked" in capsys.readouterr().out
    kept.write_bytes(content)
    evaluate(place, place / "hospital")
    assert "could not be checked" not in capsys.readouterr().out


def test_images_of_one_class_and_unknown_patients_are_said(place, capsys):
    manifest = place / "hospital/manifest.csv"
    rows = pd.read_csv(manifest).query("label == 1").drop(columns=["patient", "histology"])
    for file in (place / "hospital/0").iterdir():
        file.unlink()
    rows.to_csv(manifest, index=False)
    folder = evaluate(place, place / "hospital")
    shown = capsys.readouterr().out
    assert "No image is benign: metrics that need all classes are not defined." in shown
    assert "Patients are unknown" in shown
    own = table(folder, "evaluation.csv").iloc[0]
    assert (own["roc_auc"], own["num_patients"]) == ("", "")
    assert 0 < own["recall"] < 1


def test_unreadable_images_are_refused_or_left_out(place, capsys):
    (place / "hospital/0/0.png").write_bytes(b"damaged")
    assert run.call("evaluate", ["first", str(place / "hospital")]) == 2
    assert re.search(r"1 image cannot be read: 0/0.png .* --skip-unreadable", capsys.readouterr().err)
    assert not (place / "metrics/evaluations").exists()
    folder = evaluate(place, place / "hospital", "--skip-unreadable")
    assert len(table(folder, "predictions.csv")) == 47
    assert "Left out, unreadable: 0/0.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere: not found; expected a folder of images"),
        (["hospital", "--group-by", "age"], "--group-by age: no such column"),
        (["hospital", "--name", "a/b"], "--name 'a/b': use letters"),
        (["hospital", "--split", "val"], "--split val: no image of"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_nothing_is_written(place, capsys, monkeypatch, words, said):
    monkeypatch.chdir(place)
    assert run.call("evaluate", ["first", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (place / "metrics/evaluations").exists()


def test_prepared_images_of_another_size_are_refused(place, capsys):
    prepare(
        Config(
            DATA_DIR=place / "hospital", PREPROCESSED_DIR=place / "large", INPUT_SHAPE=(16, 16), INPUT_DIM=1,
            NEAR_COPIES="off",
        )
    )  # fmt: skip
    assert run.call("evaluate", ["first", str(place / "large")]) == 2
    assert "prepared as 16x16 pixels, gray, the model takes 8x8 pixels, gray" in capsys.readouterr().err


def test_more_than_two_classes(place, monkeypatch, capsys):
    file = place / "models/first/best.keras"
    names = ("benign", "malignant", "normal")

    def score(images: np.ndarray) -> np.ndarray:
        level = images.mean(axis=(1, 2, 3))[:, None]
        near = np.exp(-20 * (level - np.array([0.35, 0.63, 0.9])) ** 2)
        return near / near.sum(axis=1, keepdims=True)

    scorer = Scorer(file, "", (SIDE, SIDE, 1), names, 0.5, "the default", "0..1", {}, score)
    monkeypatch.setattr(evaluation, "open_scorer", lambda *arguments: scorer)
    manifest = place / "hospital/manifest.csv"
    rows = pd.read_csv(manifest)
    rows["label"] = [names[label if index % 8 < 6 else 2] for index, label in enumerate(rows["label"])]
    rows.to_csv(manifest, index=False)
    folder = evaluate(place, manifest)
    assert folder.name == "best-on-hospital"
    (row,) = table(folder, "evaluation.csv").to_dict("records")
    assert (row["threshold_is"], row["threshold"]) == ("stored", "")
    assert row["roc_auc"] != ""
    predictions = table(folder, "predictions.csv")
    columns = [f"probability_{name}" for name in names]
    np.testing.assert_allclose(predictions[columns].sum(axis=1), 1)
    assert set(table(folder, "groups.csv")["value"]) >= {"all", "GE", "Toshiba"}
    page = (folder / "report.html").read_text()
    assert "not as expected" not in page
    assert "At other thresholds" not in page
    assert "it does not say on which images" in capsys.readouterr().out
