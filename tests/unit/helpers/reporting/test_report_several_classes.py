"""Report, model card, comparison and terminal tables of a run with three classes."""

import itertools
import json
import re
import shutil
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn import metrics as sk

from commands.compare import compare
from commands.runs import runs
from helpers.evaluation.metrics import confusion_of
from helpers.global_config import Config
from helpers.reporting.calibration import draw_calibration
from helpers.reporting.case_panels import panels
from helpers.reporting.cautions import cautions
from helpers.reporting.model_card import write_model_card
from helpers.reporting.operating_curves import draw_class_precision_recalls, draw_class_rocs
from helpers.reporting.pictures import drawing
from helpers.reporting.report import write_report
from helpers.reporting.run_files import SplitScores, read_run
from helpers.reporting.tables import class_rows, confusion_rows
from tests.unit.helpers.reporting.test_report import words

NAMES = ("normal", "benign <b>", "malignant")
CLASS_METRICS = ("precision", "recall", "f1_score", "roc_auc", "average_precision", "specificity")
SIZES = (30, 20, 10)
MEANS = "are means over the classes, each against the rest"


def three_class_scores(sizes: tuple[int, ...] = SIZES) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (N,) and scores (N, 3), mostly correct."""
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], sizes)
    scores = generator.random((len(labels), 3)) + np.eye(3)[labels]
    return labels, (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)


def write_run(root: Path, run: str = "first") -> None:
    """Write a finished run of two rounds and two clients."""
    metrics, models = root / "metrics" / run, root / "models" / run
    metrics.mkdir(parents=True)
    models.mkdir(parents=True)
    values = {"accuracy": 0.7, "balanced_accuracy": 0.6, **dict.fromkeys(CLASS_METRICS, 0.65)}
    rounds = [
        {"round": r, "num_clients": 2, "num_examples": 60, "train_loss": 0.7, "val_loss": 0.9, "seconds": 9.0}
        | values
        for r in (1, 2)
    ]
    pd.DataFrame(rounds).to_csv(metrics / "rounds.csv", index=False)
    clients = [
        {"round": r, "client": c, "worker": "w", "status": "ok", "num_examples": 30, "val_roc_auc": 0.6,
         "seconds": 5.0}
        for r in (1, 2) for c in (0, 1)
    ]  # fmt: skip
    pd.DataFrame(clients).to_csv(metrics / "clients.csv", index=False)
    by_class = [
        {"class": label, "name": name, "num_examples": size, **dict.fromkeys(CLASS_METRICS, 0.5 + label / 10)}
        for label, (name, size) in enumerate(zip(NAMES, SIZES, strict=True))
    ]
    classes = [{"round": r, **row} for r in (1, 2) for row in by_class]
    pd.DataFrame(classes).to_csv(metrics / "classes.csv", index=False)
    ends = {f"{name}_{end}": value for name in CLASS_METRICS for end, value in (("low", 0.4), ("high", 0.8))}
    pd.DataFrame([{"round": 2, **row, **ends} for row in by_class]).to_csv(
        metrics / "test_classes.csv", index=False
    )
    row = {"model": "best", "round": 2, "threshold": None, "num_examples": 60, "num_patients": 60}
    pd.DataFrame([row | values | ends]).to_csv(metrics / "test.csv", index=False)
    labels, scores = three_class_scores()
    arrays = {"labels": labels, "scores": scores, "files": np.arange(len(labels)).astype(str)}
    np.savez(
        metrics / "scores.npz",
        **{f"{split}_{name}": array for split in ("val", "test") for name, array in arrays.items()},
    )
    np.savez(
        metrics / "cases.npz",
        images=np.full((2, 8, 8, 3), 90, np.uint8), heatmaps=np.full((2, 8, 8), 0.5, np.float32),
        labels=np.array([2, 0]), scores=np.array([[0.05, 0.05, 0.9], [0.2, 0.7, 0.1]], np.float32),
        files=np.array(["a.png", "b.png"]), kinds=np.array(["right", "wrong"]),
    )  # fmt: skip
    counts = dict(zip(map(str, range(len(SIZES))), SIZES, strict=True))
    facts = {
        "run": run, "settings": {"EPOCHS": 2}, "data_digest": "0" * 64, "classes": NAMES,
        "data": {"source": "folder", "counts": dict.fromkeys(("train", "val", "test"), counts)},
        "partition": {"0": {"0": 30, "1": 0, "2": 0}, "1": {"0": 0, "1": 20, "2": 10}},
    }  # fmt: skip
    (metrics / "run.json").write_text(json.dumps(facts))
    (models / "best.json").write_text(json.dumps({"threshold": None, "classes": NAMES, "value": 0.65}))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("three")
    write_run(root)
    return root


@pytest.fixture
def root(finished, tmp_path) -> Path:
    """A copy of the run, for changes."""
    return Path(shutil.copytree(finished, tmp_path / "root"))


def report(root: Path) -> str:
    return write_report(root / "metrics", root / "models", "first").read_text(encoding="utf-8")


def test_the_report_names_every_class_and_no_threshold(finished):
    page = report(finished)
    text = words(page)
    assert "not as expected" not in text
    assert page.count("<svg ") == 8  # all but the timeline, whose times are not recorded
    for said in (
        "Classification into 3 classes: normal, benign <b>, malignant.",
        "Accuracy 0.700", "Balanced accuracy 0.600 mean recall of the 3 classes",
        "The decision is the most probable class.", MEANS,
        "malignant 10 0.700 0.400 to 0.800",  # the class by itself
        "decided normal decided benign <b> decided malignant",
        "a.png: malignant, decided malignant, probability 0.900",
        "b.png: normal, decided benign <b>, probability 0.700",
        "training 60 30 20 10 unknown",
        "mean over the classes",
    ):  # fmt: skip
        assert said in text
    for not_said in ("threshold", "class 1", "cancerous", "Bands are"):
        assert not_said not in text
    assert "<b>," not in page


@pytest.mark.parametrize(
    "name", ["classes.csv", "test_classes.csv", "scores.npz", "cases.npz", "clients.csv", "rounds.csv"]
)
def test_a_missing_file_costs_only_its_section(root, name):
    (root / "metrics/first" / name).unlink()
    assert "not as expected" not in words(report(root))


def forget_names(root: Path, damage: bytes | None) -> None:
    for file in ("metrics/first/run.json", "models/first/best.json"):
        (root / file).unlink() if damage is None else (root / file).write_bytes(damage)


@pytest.mark.parametrize("damage", [None, b"", b"[1, 2]"])
def test_without_names_the_classes_are_numbers(root, damage):
    forget_names(root, damage)
    text = words(report(root))
    assert "not as expected" not in text
    assert "decided 0 decided 1 decided 2" in text
    assert "b.png: 0, decided 1, probability 0.700" in text
    card = write_model_card(root / "metrics", root / "models", "first").read_text(encoding="utf-8")
    assert "| truth | decided 0 | decided 1 | decided 2 |" in card


@pytest.mark.parametrize("label", [3, -1])
def test_labels_of_no_class_make_a_split_unreadable(root, label):
    labels, scores = three_class_scores()
    labels[0] = label
    np.savez(root / "metrics/first/scores.npz", test_labels=labels, test_scores=scores)
    text = words(report(root))
    assert "not as expected" not in text
    assert "scores.npz could not be read: test: labels of the scores are not all 0 to 2" in text
    write_model_card(root / "metrics", root / "models", "first")


@pytest.mark.parametrize("has_names", [True, False])
def test_scores_of_another_number_of_classes_make_a_split_unreadable(root, has_names):
    labels, scores = three_class_scores()
    if not has_names:
        forget_names(root, None)
    of_four = np.pad(scores, ((0, 0), (0, 1)))
    np.savez(
        root / "metrics/first/scores.npz",
        val_labels=labels, val_scores=scores, test_labels=labels, test_scores=of_four,
    )  # fmt: skip
    files = read_run(root / "metrics", root / "models", "first")
    assert list(files.scores) == ["val"]
    assert files.unreadable[-1].startswith("scores.npz: labels, scores and patients of test do not fit")
    write_model_card(root / "metrics", root / "models", "first")


def test_cases_of_another_number_of_classes_cost_only_their_section(root):
    with np.load(root / "metrics/first/cases.npz") as cases:
        arrays = dict(cases)
    np.savez(
        root / "metrics/first/cases.npz", **arrays | {"scores": np.pad(arrays["scores"], ((0, 0), (0, 1)))}
    )
    assert words(report(root)).count("scores of 4 classes, names of 3") == 1


def test_many_classes_with_long_names_have_room(root):
    names = [f"{number} {'very ' * 12}" for number in range(9)]
    path = root / "metrics/first/run.json"
    facts = json.loads(path.read_text()) | {"classes": names}
    facts["partition"] = {"0": dict.fromkeys(map(str, range(9)), 5)}
    path.write_text(json.dumps(facts))
    labels = np.arange(90) % 9
    scores = np.full((90, 9), 1 / 9)
    np.savez(root / "metrics/first/scores.npz", test_labels=labels, test_scores=scores)
    (root / "metrics/first/cases.npz").unlink()
    text = words(report(root))
    assert "not as expected" not in text
    assert f"{names[0][:29]}…, AUC 0.500" in text


def test_confusion_by_hand():
    scores = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.1, 0.2, 0.7]])
    split = SplitScores(np.array([0, 0, 1, 2]), scores, np.arange(4).astype(str))
    assert confusion_of(split.labels, split.scores, 0.5).tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert confusion_rows(split, 0.5, NAMES)[0] == ("normal", [(1, 0.5), (1, 0.5), (0, 0.0)])


def test_curves_are_those_of_scikit_learn_for_each_class_against_the_rest():
    labels, scores = three_class_scores()
    split = SplitScores(labels, scores.astype(np.float64), np.arange(60).astype(str))
    with drawing():
        rocs, precisions = (
            draw(split, "test", NAMES).svg for draw in (draw_class_rocs, draw_class_precision_recalls)
        )
    for label, name in enumerate(("normal", "benign &lt;b&gt;", "malignant")):
        of_class = labels == label
        assert f"{name}, AUC {sk.roc_auc_score(of_class, scores[:, label]):.3f}" in rocs
        average = sk.average_precision_score(of_class, scores[:, label])
        assert f"{name}, average {average:.3f}" in precisions


def test_a_class_without_images_has_no_curve():
    labels, scores = three_class_scores((30, 20, 0))
    split = SplitScores(labels, scores.astype(np.float64), np.arange(50).astype(str))
    with drawing():
        assert "malignant" not in draw_class_rocs(split, "test", NAMES).svg


def test_calibration_is_that_of_the_decided_class():
    scores = np.array([[0.75, 0.15, 0.1]] * 4)
    split = SplitScores(np.array([0, 0, 0, 1]), scores, np.arange(4).astype(str))
    with drawing():
        svg = draw_calibration(split, "test", NAMES).svg
    assert "a mean probability of the decided class of 0.75, of which 0.75 are correct" in svg


def test_panels_name_the_decided_class(finished):
    with np.load(finished / "metrics/first/cases.npz") as cases:
        right, wrong = panels(dict(cases), NAMES)
    assert (right.truth, right.decision, right.score) == ("malignant", "malignant", pytest.approx(0.9))
    assert (wrong.truth, wrong.decision, wrong.score) == ("normal", "benign <b>", pytest.approx(0.7))


def test_classes_stand_in_a_table_with_their_intervals(finished):
    files = read_run(finished / "metrics", finished / "models", "first")
    rows = class_rows(files.test_classes)
    assert [(row["name"], row["num_examples"]) for row in rows] == list(zip(NAMES, SIZES, strict=True))
    assert [metric.name for metric in rows[0]["metrics"]][:2] == ["ROC-AUC", "average precision"]
    assert (rows[2]["metrics"][0].value, rows[2]["metrics"][0].low) == (0.7, 0.4)


def change_classes(root: Path, file: str, **columns: object) -> list[str]:
    """Change columns of a file and return the cautions."""
    path = root / "metrics/first" / file
    pd.read_csv(path).assign(**columns).to_csv(path, index=False)
    return cautions(read_run(root / "metrics", root / "models", "first"))


def test_cautions_are_about_classes(root):
    sentences = cautions(read_run(root / "metrics", root / "models", "first"))
    assert "Client 0 has only images of one class." in sentences  # but not client 1, which has two
    assert any(sentence.startswith("Few validation images: 10 of malignant.") for sentence in sentences)
    assert any(sentence.startswith("Few test images: 10 of malignant.") for sentence in sentences)
    assert not any("threshold" in sentence or "puts every" in sentence for sentence in sentences)
    sentences = change_classes(root, "test_classes.csv", recall=[0.5, 0.0, 0.0])
    assert "The model detects none of the test images of: benign <b>, malignant." in sentences
    sentences = change_classes(
        root, "classes.csv", recall=[0.0, 1.0, 0.0, 0.5, 0.5, 0.5], precision=[None, 0.3, None, 0.5, 0.5, 0.5]
    )
    assert "In 1 round the averaged model puts every validation image into one class." in sentences
    sentences = change_classes(root, "classes.csv", recall=[1.0, 0.0, 0.0] * 2, precision=[1.0, 0.0, 0.0] * 2)
    assert not any("puts every" in sentence for sentence in sentences)  # two of the classes are swapped


def test_sites_have_counts_of_every_class(root):
    site = {"train": [3, 2, 1], "val": [1, 1, 1], "test": [0, 1, 2]}
    (root / "models/first/state.json").write_text(
        json.dumps({"state": {"sites": [{"name": name, **site} for name in ("Graz", "Linz")]}})
    )
    files = read_run(root / "metrics", root / "models", "first")
    assert files.partition["1"] == {"0": 3, "1": 2, "2": 1}
    assert files.data["counts"]["test"] == {"0": 0, "1": 2, "2": 4}


def test_the_model_card_names_each_class(finished):
    path = write_model_card(finished / "metrics", finished / "models", "first")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert all(line != before or line for before, line in itertools.pairwise(lines))
    said = " ".join(" ".join(lines).split()).replace("\\", "")
    for sentence in (
        "3 outputs, the probability of each class; they sum to 1.",
        "Classes: 0 = normal, 1 = benign <b>, 2 = malignant.",
        "The decision is the class with the highest probability, without a threshold.", MEANS,
        "60 test images of 60 patients: 30 normal, 20 benign <b>, 10 malignant.",
        "| split | images | normal | benign <b> | malignant | patients | |---|---|---|---|---|---| "
        "| training | 60 | 30 | 20 | 10 | unknown |",
        "### Each class against the rest | class | images | ROC-AUC |",
        "| malignant | 10 | 0.700 (0.400 to 0.800) |",
        "| truth | decided normal | decided benign <b> | decided malignant | |---|---|---|---| | normal | ",
        "The mean probability of the decided class is ",
    ):  # fmt: skip
        assert sentence in said
    for not_said in ("Operating points", "class 1", "the threshold"):
        assert not_said not in said
    tables = re.findall(r"(?m)(?:^\|.*\n)+", "\n".join(lines) + "\n")
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1


def test_runs_and_compare_say_that_metrics_are_means(root, monkeypatch):
    monkeypatch.setenv("DT_METRICS_DIR", str(root / "metrics"))
    monkeypatch.setenv("DT_MODELS_DIR", str(root / "models"))
    write_run(root, "second")

    def printed(command, *arguments) -> str:
        console = Console(file=StringIO(), width=110)
        command(Config.load(), *arguments, console)
        return " ".join(console.file.getvalue().split())

    assert f"AUC of first, second {MEANS}" in printed(runs)
    text = printed(compare, ["first", "second"])
    assert f"of first, second {MEANS}" in text
    assert "class 1" not in text
    page = words((root / "metrics/compare-first-second.html").read_text())
    assert "classes normal, benign <b>, malignant normal, benign <b>, malignant threshold" in page
    assert "classes normal, benign <b>, malignant" in text
    assert "class 1" not in page
