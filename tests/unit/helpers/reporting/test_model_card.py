"""Model card: facts of the records only, and no markup from files."""

import hashlib
import html
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.evaluation.tallies import BINNED, MEAN
from helpers.global_config import Config
from helpers.reporting.model_card import write_model_card
from helpers.reporting.page import MARKUP, code, text
from helpers.reporting.report import write_report
from tests.unit.helpers.reporting.test_report import write_groups, write_run

HEADINGS = [  # Mitchell et al. 2019, figure 1
    "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
    "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
]  # fmt: skip


def card(root: Path) -> str:
    """Write the card and return it on one line, so that line breaks do not matter."""
    path = write_model_card(root / "metrics", root / "models", "first")
    assert path == root / "models" / "first" / "model_card.md"
    return " ".join(path.read_text(encoding="utf-8").split())


def change(path: Path, **values: object) -> None:
    """Change values of a JSON file; create it if absent."""
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | values))


def change_test(root: Path, **values: object) -> None:
    path = root / "metrics/first/test.csv"
    pd.read_csv(path).assign(**values).to_csv(path, index=False)


@pytest.fixture
def root(tmp_path) -> Path:
    """A finished run with the files of its last task."""
    write_run(tmp_path)
    settings = Config(EPOCHS=4, TRAIN_BATCH_SIZE=16).for_run()
    change(tmp_path / "metrics/first/run.json", settings=settings, classes=["benign", "malignant"])
    change(tmp_path / "models/first/best.json", value=0.75, threshold_rule="youden")
    return tmp_path


def test_says_when_the_model_was_trained(root):
    assert "Date of training: not recorded." in card(root)
    change(root / "metrics/first/run.json", started_at="2026-11-30T10:00:00+00:00")
    assert "Date of training: 2026-11-30T10:00:00+00:00." in card(root)


def test_has_the_headings_of_the_paper_in_their_order(root):
    write_model_card(root / "metrics", root / "models", "first")
    lines = (root / "models/first/model_card.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# Model card: first"
    assert [line[3:] for line in lines if line.startswith("## ")] == HEADINGS
    assert max(line == before == "" for before, line in itertools.pairwise(lines)) == 0


def test_contains_the_facts_of_the_records(root):
    said = card(root)
    for sentence in (
        "the model after round 3 of 3, the round with the highest ROC-AUC on the validation images, 0.750.",
        "Input: float32 (N, 128, 128, 3), pixel values / 255.",
        "Classes: 0 = benign, 1 = malignant.",
        "Training: 3 rounds, strategy `fedavg`.",
        "In the round of this model 2 clients contributed, with 60 training images in total",
        "| `EPOCHS` | `4` | `10` | | `TRAIN_BATCH_SIZE` | `16` | `2` | Versions:",
        "Threshold: 0.4000 (all digits in `best.json`), chosen on the validation images by the rule youden.",
        "95 % intervals: their unit are patients.",
        "80 test images of 80 patients: 40 benign, 40 malignant.",
        "License: not recorded; see the source of the images.",
        "1 unreadable image left out.",
        "| split | images | benign | malignant | patients |",
        "| training | 60 | 40 | 20 | unknown | | validation | 40 | 20 | 20 | unknown |",
        "exact copies 0, near copies 1, images in two classes 0, patients in more than one split unknown.",
        "| ROC-AUC | 0.900 | 0.800 to 0.950 |",
        "and 0.500 of them are malignant",
        "- Patients are unknown",
        "- Client 1 failed in round 2: worker1@host",
        "not a medical device",
    ):
        assert sentence in said
    change(root / "metrics/first/run.json", data={"license": "CC BY 4.0", "source": "x"})
    said = card(root)
    assert "License: CC BY 4.0." in said
    assert "No audit for copies and leaks is recorded." in said


def test_the_average_over_the_rounds_is_named(root):
    change(root / "models/first/state.json", state={"best_weights_file": "ema-0003-0a.safetensors"})
    assert "`best.keras`, the average over the rounds up to round 3 of 3, the round with" in card(root)


def test_a_smoothed_choice_is_named(root):
    change(root / "metrics/first/run.json", settings=Config(CHOICE="smoothed").for_run())
    said = (
        "the round from two thirds of the planned ones on with the highest mean ROC-AUC on the validation "
        "images in itself and the two rounds before"
    )
    assert f"{said}, 0.750." in card(root)


def test_operating_points_by_hand(root):
    labels, scores = np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.45, 0.9, 0.42, 0.8])
    np.savez(root / "metrics/first/scores.npz", test_labels=labels, test_scores=scores)
    said = card(root)
    assert (
        "| 0.4000 (this model) | 1.000 | 0.333 | 2, 0 | 1, 2 | | 0.5000 | 0.500 | 0.667 | 1, 1 | 2, 1 |"
        in said
    )
    assert "The mean score of the test images is 0.534, and 0.400 of them are malignant" in said
    change_test(root, threshold=0.5)
    assert "| 0.5000 (this model) | 0.500 | 0.667 | 1, 1 | 2, 1 | ### Calibration" in card(root)


def test_undefined_numbers_are_stated_and_never_0(root):
    change_test(root, roc_auc=None, roc_auc_low=None, roc_auc_high=None, precision=None, precision_low=None)
    change(root / "models/first/best.json", value=None)
    np.savez(root / "metrics/first/scores.npz", test_labels=np.zeros(2), test_scores=np.array([0.1, 0.2]))
    said = card(root)
    assert "| ROC-AUC | not defined | not defined |" in said
    assert "| precision | not defined | not defined |" in said
    assert "| 0.4000 (this model) | not defined | 1.000 | 0, 0 | 2, 0 |" in said
    assert "the last round: no round has a ROC-AUC on the validation images" in said


@pytest.mark.parametrize(
    ("rule", "labels", "said"),
    [
        ("0.3", [0, 1], "set before the training"),
        ("sensitivity>=0.90", [0, 1], r"chosen on the validation images by the rule sensitivity\>=0.90"),
        ("youden", [1, 1], "not chosen: the rule youden needs both classes, and validation has only one"),
        (
            "youden",
            None,
            "not chosen: the rule youden needs validation scores, and there were none",
        ),
    ],
)
def test_says_how_the_threshold_was_chosen(root, rule, labels, said):
    change(root / "models/first/best.json", threshold_rule=rule)
    arrays = {} if labels is None else {"val_labels": labels, "val_scores": [0.1, 0.2]}
    np.savez(root / "metrics/first/scores.npz", **arrays)
    assert f"(all digits in `best.json`), {said}" in card(root)
    page = write_report(root / "metrics", root / "models", "first").read_text()
    assert html.escape(said.replace("\\", "")) in page


def at_sites(root: Path, digest: str) -> None:
    """Turn the run into one of two sites that keep their scores."""
    counts = {"train": [4, 3], "val": [2, 1], "test": [1, 2]}
    sites = [{"name": name, **counts} for name in ("Graz", "Linz")]
    change(root / "models/first/state.json", state={"sites": sites})
    change(root / "metrics/first/run.json", data={}, data_digest=digest, partition=None, divided_by="own")
    (root / "metrics/first/scores.npz").unlink()


def test_sites_that_keep_their_scores_choose_the_threshold_by_counts(root):
    at_sites(root, "")
    change_test(root, roc_auc_over=BINNED)
    assert "chosen on the sites' counts of their validation images by the rule youden" in card(root)


def test_sites_are_summed_and_not_named(root):
    at_sites(root, "")
    change_test(root, num_patients=None, num_examples=6, precision=None, roc_auc_over=MEAN)
    said = card(root)
    assert "Graz" not in said
    for sentence in (
        "2 sites trained on local images",
        "Digest of the prepared images: at the sites.",
        "| training | 14 | 8 | 6 | unknown | | validation | 6 | 4 | 2 | unknown |",
        "| test | 6 | 2 | 4 | unknown |",
        "- 6 test images.",
        "| precision | – | – |",
        "The ROC-AUC is the example-weighted mean of sites. A dash means not defined, or not known",
        "The scores of the test images are not recorded.",
        "patients, or images at sites where patients are unknown",
    ):
        assert sentence in said


def test_a_separate_test_set_is_not_described_as_the_sites(root):
    at_sites(root, "f" * 64)
    change_test(root, num_patients=None)
    said = card(root)
    assert "They are a separate test set (TEST_DIR), not the sites' own test images." in said
    assert "Digest of the prepared test set: ffffffffffffffff." in said
    assert "| validation | 6 | 4 | 2 | unknown |" in said
    assert "| test |" not in said
    assert "images (copies together), as patients are unknown" in said


def test_an_older_run_has_a_card_too(tmp_path):
    metrics = tmp_path / "metrics/first"
    metrics.mkdir(parents=True)
    (metrics / "test.csv").write_text("model,round,threshold,num_examples,roc_auc\nbest,1,0.5,4,0.5\n")
    said = card(tmp_path)
    assert "The settings are not recorded." in said
    assert "Source: not recorded" in said
    assert "Input: float32 (N, H, W, 3)" in said
    assert "| ROC-AUC | 0.500 | not defined |" in said


def test_the_same_files_give_the_same_bytes(root):
    assert card(root) == card(root)


def test_text_from_files_is_not_markup(tmp_path):
    hostile = "<script>x</script> [click](http://x) |`*_a_*"
    write_run(tmp_path, name=hostile)
    change(tmp_path / "metrics/first/run.json", classes=[hostile, "y\n\n# y"], settings={"EPOCHS": hostile})
    said = card(tmp_path)
    outside_code = re.sub(r"`[^`]*`", "", said.replace(r"\`", ""))
    assert re.findall(r"(?<!\\)[<\[]", outside_code) == []
    assert r"\<script\>x\</script\> \[click\](http://x) \|" in said
    assert r"1 = y \# y." in said
    assert r"""| `EPOCHS` | `"<script>x</script> [click](http://x) \|'*_a_*"` | `10` |""" in said


@given(st.text())
def test_escaped_text_reads_as_it_was(words):
    escaped = str(text(words))
    assert re.sub(r"\\(.)", r"\1", escaped).split() == words.split()
    assert "\n" not in escaped
    assert MARKUP.search(re.sub(r"\\.", "", escaped)) is None


@given(st.text())
def test_code_ends_where_it_should(words):
    assert re.fullmatch(r"`[^`\n]*`", code(words))


def test_groups_of_the_test_are_shown_with_the_worst(root):
    assert "By groups, below" not in card(root)
    write_groups(root)
    said = card(root)
    assert "| device | Toshiba | 30 | 15 | 0.600 (0.500 to 0.700) |" in said
    assert "| too small to say: 2 of the rarest class |" in said
    assert "Worst group: device Toshiba" in said
    assert "Its performance in other groups of people is not known." in said


def test_asks_for_an_external_validation_and_lists_those_of_this_model(root):
    assert "None yet. `python run.py evaluate first FOLDER`" in card(root)
    model = root / "models/first/best.keras"
    model.write_bytes(b"this model")
    digest = hashlib.sha256(b"this model").hexdigest()
    for name, of_model in (("elsewhere", digest), ("of-an-earlier-model", "0" * 64)):
        folder = root / "metrics/evaluations" / name
        folder.mkdir(parents=True)
        row = {
            "threshold_is": "stored", "num_examples": 90, "num_trained_on": 3, "num_of_own_run": 8,
            "roc_auc": 0.7, "roc_auc_low": 0.6, "roc_auc_high": 0.8, "run": "first", "model_digest": of_model,
        }  # fmt: skip
        pd.DataFrame([row, {**row, "roc_auc": 0.9}]).to_csv(folder / "evaluation.csv", index=False)
    said = card(root)
    link = "[elsewhere](../../metrics/evaluations/elsewhere/report.html)"
    assert f"{link} | 90 | unknown | 8 | 3 | 0.700 (0.600 to 0.800) |" in said
    assert (root / "models/first" / "../../metrics/evaluations/elsewhere").is_dir()
    assert "of-an-earlier-model" not in said
    assert "0.900 (0.600" not in said
