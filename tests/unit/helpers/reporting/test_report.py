"""Report of a run: one safe, reproducible page, also from missing or damaged files."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from helpers.evaluation.auc_intervals import standard_error
from helpers.reporting import operating_curves
from helpers.reporting.cautions import cautions
from helpers.reporting.curves import draw_losses, draw_runs
from helpers.reporting.pictures import LEGEND_LINE, LONGEST_NAME, drawing, line_style
from helpers.reporting.report import write_report
from helpers.reporting.run_files import SplitScores, read_run
from helpers.reporting.sections import KINDS, audit, versions
from helpers.reporting.tables import client_rows, confusion_rows, split_rows
from helpers.reporting.timeline import client_bars
from helpers.settings.types import USUAL_CLASS_NAMES

HOSTILE = "<script>alert('x')</script>$\\frac{&"
INTERVALS = ("roc_auc", "average_precision", "recall", "specificity")
FILES = ("rounds.csv", "clients.csv", "test.csv", "scores.npz", "cases.npz", "run.json")


@pytest.fixture(autouse=True, scope="module")
def few_resamples():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operating_curves, "RESAMPLES", 50)
        yield


def write_run(root: Path, run: str = "first", *, finished: bool = True, name: str = "worker1@host") -> None:
    """Write a run of three rounds and two clients, one of which fails in round 2; `name` is in every text."""
    metrics, models = root / "metrics" / run, root / "models" / run
    metrics.mkdir(parents=True)
    models.mkdir(parents=True)
    rounds = [
        {"round": r, "num_clients": 2, "num_examples": 60, "train_loss": 0.7 - r / 10, "val_loss": 0.6,
         "accuracy": 0.5, "precision": None, "recall": 0.0, "f1_score": 0.0, "roc_auc": 0.6 + r / 20,
         "seconds": 9.0, "bytes_down": 100, "bytes_up": 100, "specificity": 1.0, "brier_score": 0.2,
         "calibration_error": 0.1, "aggregation_started_at": 8.0}
        for r in (1, 2, 3)
    ]  # fmt: skip
    clients = [
        {"round": r, "client": c, "worker": name, "status": "failed" if (r, c) == (2, 1) else "ok",
         "num_examples": 30, "train_loss": 0.5, "val_roc_auc": None if (r, c) == (2, 1) else 0.6,
         "seconds": 5.0, "started_at": 1.0, "transfer_seconds": 0.5, "error": name if r == 2 else ""}
        for r in (1, 2, 3) for c in (0, 1)
    ]  # fmt: skip
    pd.DataFrame(rounds).to_csv(metrics / "rounds.csv", index=False)
    pd.DataFrame(clients).to_csv(metrics / "clients.csv", index=False)
    counts = {"train": {"0": 40, "1": 20}, "val": {"0": 20, "1": 20}, "test": {"0": 40, "1": 40}}
    findings = {"exact_duplicates": 0, "near_duplicates": 1, "label_conflicts": 0, "split_patients": 0}
    facts = {
        "run": run, "settings": {"EPOCHS": 4, "NOTE": name}, "data_digest": "0" * 64, "versions": {"a": name},
        "data": {"source": name, "grouped_by": None, "counts": counts, "patients": None, "left_out": [name],
                 "audit": findings},
        "partition": {"0": {"0": 20, "1": 10}, "1": {"0": 20, "1": 10}},
    }  # fmt: skip
    (metrics / "run.json").write_text(json.dumps(facts))
    (root / "audit.csv").write_text("kind,file,other,detail\n" + f'near_duplicate,"{name}",b.png,0.99\n')
    if finished:
        write_test(metrics, name)


def write_test(metrics: Path, name: str) -> None:
    """Write the files of the test."""
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40).astype(np.int32)
    scores = (0.5 * generator.random(80) + 0.3 * labels).astype(np.float32)
    files = np.array([f"{index} {name}" for index in range(80)])
    kinds = {"labels": labels, "scores": scores, "files": files, "patients": files}
    arrays = {f"{split}_{kind}": array for split in ("val", "test") for kind, array in kinds.items()}
    np.savez(metrics / "scores.npz", **arrays)
    values = {"roc_auc": 0.9, "average_precision": 0.6, "recall": 0.8, "specificity": 0.7}
    row = {"model": "best", "round": 3, "threshold": 0.4, "num_examples": 80, "num_patients": 80, **values}
    row |= {f"{key}_low": values[key] - 0.1 for key in INTERVALS}
    row |= {f"{key}_high": values[key] + 0.05 for key in INTERVALS}
    pd.DataFrame([row]).to_csv(metrics / "test.csv", index=False)
    np.savez(
        metrics / "cases.npz",
        images=np.full((2, 8, 8, 3), 90, np.uint8), heatmaps=np.full((2, 8, 8), 0.5, np.float32),
        labels=np.array([1, 0], np.int32), scores=np.array([0.9, 0.8], np.float32),
        files=np.array([name, name]), kinds=np.array(["right", "wrong"]),
    )  # fmt: skip


def report(root: Path, run: str = "first", *, is_running: bool = False) -> str:
    path = write_report(root / "metrics", root / "models", run, root / "audit.csv", is_running=is_running)
    assert path == root / "metrics" / run / "report.html"
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("finished")
    write_run(root)
    report(root)
    return root


@pytest.fixture
def root(finished, tmp_path) -> Path:
    """A copy of a finished run, for changes."""
    return Path(shutil.copytree(finished, tmp_path / "root"))


def words(page: str) -> str:
    """Return the text of a page."""
    parser = HTMLParser()
    parts: list[str] = []
    parser.handle_data = parts.append  # type: ignore[method-assign]
    parser.feed(page)
    return " ".join(" ".join(parts).split())


def test_a_finished_run_shows_everything_and_stays(finished):
    page = report(finished)
    assert 'http-equiv="refresh"' not in page
    assert page.count("<svg ") == page.count('role="img" aria-label="') == 10
    assert page.count('src="data:image/png;base64,') == 2
    assert page.count("<img ") == page.count("alt=")
    text = words(page)
    for said in ("Finished after 3 rounds of 4", "Best model: round 3", "0.900 95 %: 0.800 to 0.950",
                 "not a medical device", "at threshold 0.400", "2 ok, 1 failed",
                 "worker1@host: cancerous, decided cancerous, score 0.900",
                 "worker1@host: non-cancerous, decided cancerous, score 0.800"):  # fmt: skip
        assert said in text
    assert "not as expected" not in text


@pytest.mark.parametrize(("auc", "said"), [(0.8, "gained 0.100"), (0.925, "cost 0.025")])
def test_says_what_choosing_the_model_brought(root, auc, said):
    assert "choosing" not in words(report(root))
    (root / "models/first/best.json").write_text(json.dumps({"test_roc_auc_of_last": auc}))
    test = root / "metrics/first/test.csv"
    pd.read_csv(test).assign(round=2).to_csv(test, index=False)
    text = words(report(root))
    best = "the best one has an AUC of 0.700 on validation and 0.900 on the test"
    assert f"{best}, the model of the last round (3) 0.750 and {auc}" in text
    assert f"So choosing {said} on the test. This is one run" in text


def test_before_the_test_the_best_round_is_that_of_the_state(root):
    (root / "metrics/first/test.csv").unlink()
    (root / "models/first/state.json").write_text(json.dumps({"state": {"best_round": 2}}))
    text = words(report(root))
    assert "Best model: round 2." in text
    assert "Validation AUC of the best model 0.700 round 2" in text


def test_needs_nothing_from_outside(finished):
    page = report(finished)
    links = re.findall(r'(?:src|href|url)\s*[=(]\s*"?([^">)]*)', page)
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "<script" not in page
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    referred = re.findall(r'(?:xlink:href="|href="|url\()#([^")]+)', page)
    assert set(referred) <= set(ids)


def test_closed_details_are_printed_or_a_hint_is(finished):
    page = report(finished)
    assert re.search(r"@media print \{.*details::details-content \{ display: block", page, re.DOTALL)
    hint = r"@supports not selector\(::details-content\) \{\s*@media print .*open it before printing"
    assert re.search(hint, page)


def test_the_same_files_give_the_same_bytes(finished, tmp_path):
    write_run(tmp_path)
    assert report(tmp_path) == report(finished)


def test_refreshes_itself_while_the_run_lasts(tmp_path):
    write_run(tmp_path, finished=False)
    page = report(tmp_path, is_running=True)
    assert page.count('<meta http-equiv="refresh" content="10">') == 1
    text = words(page)
    assert "Not finished : 3 of 4 rounds done" in text
    assert text.count("is added with the test") == 3
    stopped = report(tmp_path)
    assert 'http-equiv="refresh"' not in stopped
    assert "Stopped after 3 of 4 rounds. --resume continues the run." in words(stopped).replace(" .", ".")
    assert "updates itself" not in stopped
    write_test(tmp_path / "metrics" / "first", "w")
    for is_running in (True, False):
        page = report(tmp_path, is_running=is_running)
        assert 'http-equiv="refresh"' not in page
        assert "Finished" in words(page)


def test_names_from_files_are_escaped(tmp_path):
    write_run(tmp_path, name=HOSTILE)
    page = report(tmp_path)
    assert "<script" not in page
    assert words(page).count("<script>alert('x')</script>") >= 8
    assert "not as expected" not in page


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_costs_only_its_section(root, name):
    (root / "metrics" / "first" / name).unlink()
    page = report(root)
    assert "not as expected" not in page
    assert 4 <= page.count("<svg ") <= 10


@pytest.mark.parametrize("damage", [b"", b"\x00\xff[1, 2", b"[1, 2]", b"round\nx\n"])
def test_damaged_files_are_named(root, damage):
    for name in FILES:
        (root / "metrics" / "first" / name).write_bytes(damage)
    text = words(report(root))
    assert "No round is finished yet." in text
    for name in ("scores.npz", "cases.npz", "run.json"):
        assert f"{name} could not be read" in text or f"{name} is not a JSON object" in text


def test_fields_of_the_wrong_kind_cost_only_their_section(root):
    file = root / "metrics" / "first" / "run.json"
    facts = json.loads(file.read_text())
    wrong = {"data": {"counts": "x"}, "partition": [1], "versions": 3, "settings": None}
    file.write_text(json.dumps(facts | wrong))
    text = words(report(root))
    assert text.count("not as expected") == 1  # the data
    assert "Only 3 rounds" in text
    assert "Confusion matrix" in text


def test_a_folder_with_nothing_in_it_and_an_older_run(tmp_path):
    text = words(report(tmp_path, "empty"))
    assert "No round is finished yet." in text
    old = tmp_path / "metrics" / "old"
    old.mkdir()
    (old / "rounds.csv").write_text("round,num_clients,train_loss,val_loss,roc_auc,seconds\n1,1,0.7,0.7,,3\n")
    (old / "clients.csv").write_text("round,client,worker,status,val_roc_auc,seconds\n1,0,w,ok,,3\n")
    (old / "test.csv").write_text("model,round,threshold,num_examples,roc_auc\nbest,1,0.5,4,0.5\n")
    text = words(report(tmp_path, "old"))
    assert "not recorded in this run" in text
    assert "not as expected" not in text


def test_classes_have_the_names_of_the_run(root):
    assert read_run(root / "metrics", root / "models", "first").class_names == USUAL_CLASS_NAMES
    path = root / "metrics/first/run.json"
    facts = json.loads(path.read_text()) | {"classes": ["benign", "<i>malignant</i>"]}
    path.write_text(json.dumps(facts))
    page = report(root)
    assert "cancerous" not in page
    text = words(page)
    for said in ("decided benign decided <i>malignant</i>", "class 1 = <i>malignant</i>",
                 "worker1@host: benign, decided <i>malignant</i>, score 0.800",
                 "(40 <i>malignant</i>)"):  # fmt: skip
        assert said in text
    path.write_text(json.dumps(facts | {"classes": "benign"}))
    assert read_run(root / "metrics", root / "models", "first").class_names == USUAL_CLASS_NAMES


def test_hanley_and_mcneil_by_hand():
    # A = 0.5: Q1 = Q2 = 1/3; (1/4 + 19/12 + 19/12) / 400
    assert standard_error(0.5, 20, 20) == pytest.approx(((1 / 4 + 2 * 19 / 12) / 400) ** 0.5)
    assert standard_error(1.0, 20, 20) == 0


def test_warns_in_words(finished):
    files = read_run(finished / "metrics", finished / "models", "first")
    text = "\n".join(cautions(files))
    for said in (
        "Validation has 80 images (40 cancerous): its AUC is known to ±",
        "1 near duplicate found",
        "Patients are unknown",
        "Client 1 failed in round 2: worker1@host",
        "Only 3 rounds",
        "In 3 rounds the averaged model puts every validation image into one class",
        "threshold of the model, 0.400",
        "its 95 % interval is wide: 0.800 to 0.950",
    ):
        assert said in text


def error_of_validation(root: Path, repeats: int, patients: bool) -> str:
    """Return the AUC error in the caution, for 40 images repeated with the same or with other patients."""
    generator = np.random.default_rng(3)
    labels = np.repeat([0, 1], 20)
    scores = (0.5 * generator.random(40) + 0.2 * labels).astype(np.float32)
    names = np.arange(40 * repeats) % (40 if patients else 40 * repeats)
    arrays = {"labels": np.tile(labels, repeats), "scores": np.tile(scores, repeats)}
    arrays |= {"files": names.astype(str), "patients": np.array([f"{name:03d}" for name in names])}
    kept = {f"{split}_{name}": array for split in ("val", "test") for name, array in arrays.items()}
    np.savez(root / "metrics" / "first" / "scores.npz", **kept)
    change_data(root, patients={"val": 40} if patients else None)
    text = "\n".join(cautions(read_run(root / "metrics", root / "models", "first")))
    return re.search(r"known to (± 0\.\d\d) \(95 %, by (\w+)\)", text).group(1, 2)


def test_more_images_of_the_same_patients_do_not_make_validation_surer(root):
    one, four = (error_of_validation(root, repeats, patients=True) for repeats in (1, 4))
    assert one == four
    assert one[1] == "patient"
    error, drawn = error_of_validation(root, 4, patients=False)
    assert drawn == "image"
    assert float(error[2:]) == pytest.approx(float(one[0][2:]) / 2, abs=0.02)
    assert float(one[0][2:]) == pytest.approx(1.96 * standard_error(0.75, 20, 20), abs=0.05)


def test_before_the_test_the_error_of_validation_is_that_of_the_formula(tmp_path):
    write_run(tmp_path, finished=False)
    text = "\n".join(cautions(read_run(tmp_path / "metrics", tmp_path / "models", "first")))
    error = 1.96 * standard_error(0.75, 20, 20)
    assert f"± {error:.2f} (95 %, Hanley & McNeil 1982, assuming one image per patient)" in text


def change_data(root: Path, **changes: object) -> None:
    """Change `data` in run.json."""
    file = root / "metrics" / "first" / "run.json"
    facts = json.loads(file.read_text())
    facts["data"] |= changes
    file.write_text(json.dumps(facts))


@pytest.mark.parametrize(("count", "says"), [(1, "1 copy is"), (12, "12 copies are")])
def test_copies_across_splits_are_the_first_warning(root, count, says):
    change_data(root, audit={"label_conflicts": count, "split_patients": 1, "split_copies": count})
    sentences = cautions(read_run(root / "metrics", root / "models", "first"))
    assert sentences[0] == f"{says} in another split than the original: the test overstates the model."
    assert sentences[1].startswith("1 patient with images in more than one split")
    assert sentences[2].endswith("in two classes: one of the labels is wrong.")
    assert f"<li>{sentences[0]}</li>" in report(root)


def test_the_most_serious_findings_are_listed_first_and_not_cut(root):
    most_serious = ["copy_in_two_splits", "patient_in_two_splits", "label_conflict", "exact_duplicate"]
    kinds = ["near_duplicate"] * 60 + ["of later days", *most_serious[::-1]]
    lines = [f"{kind},{number}.png,b.png,x" for number, kind in enumerate(kinds)]
    (root / "audit.csv").write_text("\n".join(["kind,file,other,detail", *lines]) + "\n")
    files = read_run(root / "metrics", root / "models", "first", root / "audit.csv")
    section = audit(files)
    assert [item["kind"] for item in section["findings"][:5]] == [
        *map(KINDS.get, most_serious),
        "near duplicate",
    ]
    assert [item["file"] for item in section["findings"][4:6]] == ["0.png", "1.png"]
    assert (len(section["findings"]), section["further"]) == (50, 15)


def test_does_not_warn_without_reason(root):
    change_data(root, audit={"near_duplicates": 0}, patients={"train": 9})
    text = "\n".join(cautions(read_run(root / "metrics", root / "models", "first")))
    for word in ("duplicate", "Patients", "only images of one class", "could not be read"):
        assert word not in text


OLD_STATISTICS = {
    "ARCHITECTURE": "seed_cnn", "PRETRAINED": "none", "BATCH_NORM": "auto", "BATCH_NORM_MOMENTUM": 0.99,
    "BATCH_NORM_STATISTICS": "moving", "TRAIN_BATCH_SIZE": 4, "LOCAL_EPOCHS": 2,
}  # fmt: skip


def cautions_of_rounds_below_chance(root: Path, **settings: object) -> str:
    """Return the cautions where two of three averaged models rank worse than chance, and clients do not."""
    metrics = root / "metrics" / "first"
    rounds = pd.read_csv(metrics / "rounds.csv").assign(roc_auc=[0.4, 0.49, 0.7])
    rounds.to_csv(metrics / "rounds.csv", index=False)
    facts = json.loads((metrics / "run.json").read_text())
    (metrics / "run.json").write_text(json.dumps(facts | {"settings": OLD_STATISTICS | settings}))
    return "\n".join(cautions(read_run(root / "metrics", root / "models", "first")))


def test_names_old_statistics_as_the_cause_of_rounds_worse_than_chance(root):
    sentence = (
        "In 2 rounds the averaged model is worse than chance on validation, but the model of a client is "
        "not. The cause may be old statistics of batch normalization: BATCH_NORM_MOMENTUM=0.99 keeps 92% of "
        "those from earlier rounds where a round has 8 steps. Set BATCH_NORM_STATISTICS=round."
    )  # 30 images in batches of 4; 0.99 ** 8
    assert sentence in cautions_of_rounds_below_chance(root).splitlines()
    clients = root / "metrics" / "first" / "clients.csv"
    pd.read_csv(clients).assign(val_roc_auc=0.55).to_csv(clients, index=False)  # nothing was learned
    assert "BATCH_NORM" not in cautions_of_rounds_below_chance(root)


@pytest.mark.parametrize(
    "settings",
    [
        {"BATCH_NORM_STATISTICS": "round"},
        {"BATCH_NORM_STATISTICS": None},  # of an older run
        {"BATCH_NORM_MOMENTUM": 0.7},
        {"BATCH_NORM_MOMENTUM": [0.99]},  # damaged
        {"ARCHITECTURE": "resnet_groupnorm"},
        {"ARCHITECTURE": "efficientnet_lite0", "PRETRAINED": "package"},
    ],
)
def test_does_not_blame_statistics_that_are_not_old(root, settings):
    assert "BATCH_NORM" not in cautions_of_rounds_below_chance(root, **settings)


def test_seconds_of_a_client_are_those_of_the_rounds_that_it_answered(root):
    file = root / "metrics" / "first" / "clients.csv"
    clients = pd.read_csv(file)
    clients.loc[clients["status"] == "failed", ["status", "seconds", "transfer_seconds"]] = ["missing", 0, 0]
    clients.to_csv(file, index=False)
    rows = client_rows(read_run(root / "metrics", root / "models", "first"))
    assert [(row["rounds"], row["seconds"], row["transfer"]) for row in rows] == [(3, 5, 0.5)] * 2


def test_curves_of_many_runs_differ_and_have_room_for_all_names():
    assert len({line_style(number) for number in range(24)}) == 24
    rounds = pd.DataFrame({"round": [1, 2], "roc_auc": [0.5, 0.6]})
    with drawing():
        few, many = (
            draw_runs({f"{'run' * 20}-{number}": rounds for number in range(count)}, "roc_auc", "AUC")
            for count in (2, 20)
        )
    heights = [float(re.search(r'viewBox="0 0 \S+ ([\d.]+)"', one.svg)[1]) for one in (few, many)]
    assert heights[1] - heights[0] == pytest.approx(18 * LEGEND_LINE * 72, rel=0.01)
    names = [text for text in re.findall(r"<text[^>]*>([^<]*)", many.svg) if text.startswith("run")]
    assert len(names) == 20
    assert max(map(len, names)) <= LONGEST_NAME


def test_images_of_a_client_are_counted_once_for_each_local_epoch(root):
    file = root / "metrics" / "first" / "clients.csv"
    pd.read_csv(file).assign(num_examples=20 * 30).to_csv(file, index=False)
    assert "BATCH_NORM" not in cautions_of_rounds_below_chance(root, LOCAL_EPOCHS=20)  # 0.99 ** 150
    pd.read_csv(file).assign(num_examples=5 * 20).to_csv(file, index=False)
    said = cautions_of_rounds_below_chance(root, LOCAL_EPOCHS=5, BATCH_NORM_MOMENTUM=0.97)
    assert "keeps 47% of those from earlier rounds where a round has 25 steps" in said


SETTINGS = {"SEED": 42, "TEST_FRACTION": 0.3, "VALIDATION_FRACTION": 0.1, "INPUT_SHAPE": [8, 8]}


@pytest.mark.parametrize(
    ("recorded", "says"),
    [
        ({"grouped_by": "patient"}, "images kept together by: patient."),  # of an older run
        ({}, "images kept together by: not recorded."),
        (
            {"split_by": "drawn", "grouped_by": "copy", "allowed": [], "settings": SETTINGS},
            "splits drawn (TEST_FRACTION 0.3, VALIDATION_FRACTION 0.1, SEED 42); images kept together by: "
            "copy.",
        ),
        (
            {"split_by": "given", "allowed": ["label_conflicts", "leaks"], "settings": SETTINGS},
            "splits given in manifest.csv; images kept together by: nothing; prepared with "
            "--allow-label-conflicts and --allow-leaks.",
        ),
    ],
)
def test_says_how_the_images_were_split(root, recorded, says):
    change_data(root, **{"left_out": [], "source": "folder", **recorded})
    assert f"Source: folder; {says}" in words(report(root))


def test_warns_of_clients_that_failed_fell_silent_or_ran_out_of_time(root):
    file = root / "metrics" / "first" / "clients.csv"
    table = pd.read_csv(file)
    table["status"] = ["ok", "missing", "partial", "failed", "partial", "ok"]  # of clients 0 and 1, by turns
    table["error"] = ["", "", "", "no space left", "", ""]
    table.to_csv(file, index=False)
    sentences = cautions(read_run(root / "metrics", root / "models", "first"))
    assert [sentence for sentence in sentences if sentence.startswith("Client ")] == [
        "Client 0 reached the deadline and counted with only part of its images in rounds 2, 3.",
        "Client 1 failed in round 2: no space left",
        "Client 1 did not reply in round 1.",
    ]


def test_shows_the_environment_next_to_the_versions(root):
    file = root / "metrics" / "first" / "run.json"
    assert versions(read_run(root / "metrics", root / "models", "first"))["rows"] == [("a", "worker1@host")]
    file.write_text(json.dumps(json.loads(file.read_text()) | {"environment": {"python": "3.12.1"}}))
    assert "Versions and environment part value a worker1@host python 3.12.1" in words(report(root))


def test_splits_stand_in_the_order_they_are_used():
    counts = {name: {"0": 3, "1": 1} for name in ("extra", "test", "train", "val")}  # as JSON sorts them
    rows = split_rows({"counts": counts, "patients": {"train": 2}}, 2)
    assert [row["split"] for row in rows] == ["training", "validation", "test", "extra"]
    assert [row["patients"] for row in rows] == [2, None, None, None]
    assert split_rows({"counts": {"test": {"0": 1}}}, 2)[0]["counts"] == [1, 0]


def scores_with_ties() -> SplitScores:
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 60)
    scores = (generator.random(60) + 0.4 * labels).round(1)
    return SplitScores(labels, scores, np.arange(60).astype(str))


def test_curves_are_those_of_scikit_learn():
    split = scores_with_ties()
    true, false = operating_curves.RankedScores.of(split).counts(np.ones(60))
    x, y = operating_curves.roc(true, false)
    expected = sk.roc_curve(split.labels, split.scores, drop_intermediate=False)
    np.testing.assert_allclose(np.stack([x, y]), np.stack(expected[:2]))
    x, y = operating_curves.precision_recall(true, false)
    area = np.sum(np.diff(x, prepend=0) * y)
    assert area == pytest.approx(sk.average_precision_score(split.labels, split.scores))


def test_the_clients_losses_are_a_band_where_they_are_recorded(root):
    files = read_run(root / "metrics", root / "models", "first")
    with drawing():
        assert "clients, validation" not in draw_losses(files.rounds, files.clients, is_binary=True).svg
        clients = files.clients.assign(val_loss=[0.5, 0.9, 0.6, np.nan, np.nan, np.nan])
        assert "clients, validation" in draw_losses(files.rounds, clients, is_binary=True).svg


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (operating_curves.draw_roc, r"AUC 0\.\d{3} \(0\.800 to 0\.950\)"),
        (operating_curves.draw_precision_recall, r"average 0\.\d{3} \(0\.500 to 0\.650\)"),
    ],
)
def test_a_curve_of_the_test_has_the_interval_of_its_row(finished, draw, said):
    files = read_run(finished / "metrics", finished / "models", "first")
    with drawing():
        test, validation = (
            draw(files.scores["test"], name, files.test).svg for name in ("test", "validation")
        )
        unknown = draw(files.scores["test"], "test", {"roc_auc_low": np.nan, "roc_auc_high": np.nan}).svg
    assert re.search(said, test)
    assert " to " not in validation
    assert " to " not in unknown


def test_bands_hold_the_curve_and_widen_with_fewer_patients():
    split = scores_with_ties()
    true, false = operating_curves.RankedScores.of(split).counts(np.ones(60))
    curve = operating_curves.roc_on_grid(true, false)
    low, high = operating_curves.band(split, operating_curves.roc_on_grid)
    assert np.mean((low <= curve) & (curve <= high)) > 0.95
    few = SplitScores(split.labels, split.scores, (np.arange(60) // 10).astype(str))
    fewer_low, fewer_high = operating_curves.band(few, operating_curves.roc_on_grid)
    assert np.mean(fewer_high - fewer_low) != pytest.approx(np.mean(high - low))


def test_confusion_by_hand():
    split = SplitScores(
        np.array([0, 0, 1, 1, 1]), np.array([0.1, 0.5, 0.5, 0.9, 0.2]), np.arange(5).astype(str)
    )
    assert confusion_rows(split, 0.5, ("no", "yes")) == [
        ("no", [(1, 0.5), (1, 0.5)]),
        ("yes", [(1, 1 / 3), (2, 2 / 3)]),
    ]


def test_the_lane_of_a_client_is_full_from_dispatch_to_aggregation():
    row = {"started_at": 1.0, "seconds": 5.0, "transfer_seconds": 1.0, "status": "ok"}
    bars = sorted((left, right, what) for what, (left, right, _, _) in client_bars(row, 8.0, 0.0))
    assert bars == [
        (0, 1, "waiting"), (1, 1.5, "transfer"), (1.5, 5.5, "training"), (5.5, 6, "transfer"),
        (6, 8, "waiting"),
    ]  # fmt: skip
    assert client_bars(row | {"status": "missing"}, 8.0, 0.0) == [("failed or missing", (0, 8.0, 0.0, 0.8))]


def test_the_partition_is_described_and_drawn(root):
    path = root / "metrics/first/run.json"
    facts = json.loads(path.read_text())
    facts |= {"divided_by": "dirichlet", "num_clients": 2, "sites": None}
    facts["settings"]["DIRICHLET_ALPHA"] = 0.3
    path.write_text(json.dumps(facts))
    page = report(root)
    assert "divided among 2 clients with different class shares (Dirichlet, α = 0.3)." in words(page)
    assert "client 1</text>" in page
    path.write_text(json.dumps(facts | {"divided_by": "site", "sites": ["Graz", "Linz " * 9]}))
    page = report(root)
    assert "divided among 2 clients by site." in words(page)
    assert "Graz</text>" in page
    assert f"{('Linz ' * 9)[:30].strip()}" in page
    assert "client 1</text>" not in page


def test_each_sites_test_of_models_is_shown(root):
    assert "worth joining" not in report(root)
    rows = ["global,Graz,20,0.81,0.7,0.9", "local,Graz,20,0.75,,", "global,<Linz>,12,,,"]
    header = "model,site,num_examples,roc_auc,roc_auc_low,roc_auc_high"
    (root / "metrics/first/sites.csv").write_text("\n".join([header, *rows]))
    page = report(root)
    said = words(page)
    assert "Was it worth joining?" in said
    assert "Graz global 20 0.810 0.700 to 0.900" in said
    assert "Graz local 20 0.750 –" in said
    assert "&lt;Linz&gt;" in page


def test_a_partition_that_follows_the_workers_is_that_of_the_last_round(root):
    path = root / "metrics/first/run.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"partition": None, "divided_by": "iid", "num_clients": None}))
    rows = ["1,a,0,0,,", "1,b,0,1,,", "3,a,10,0,,", "3,b,9,1,,", "3,c,9,1,,"]
    (path.parent / "partition.csv").write_text("\n".join(["round,file,client,label,patient,site", *rows]))
    files = read_run(root / "metrics", root / "models", "first")
    assert files.partition == {"9": {"1": 2}, "10": {"0": 1}}
    page = report(root)
    assert "Clients 9, 10 have only images of one class." in words(page)
    assert "one client per live worker" in words(page)
    (path.parent / "partition.csv").write_bytes(b"\xff\x00")
    assert "partition.csv could not be read" in words(report(root))


def test_a_hundred_clients_have_room(root):
    path = root / "metrics/first/run.json"
    facts = json.loads(path.read_text())
    facts["partition"] = {str(client): {"0": client, "1": 3} for client in range(100)}
    path.write_text(json.dumps(facts))
    assert "Images of each class at each of 100 clients, 3 to 102 images a client" in report(root)


def test_unknown_patients_are_not_0_patients_in_two_splits(root):
    assert "split patients: unknown" in words(report(root))
    change_data(root, patients={"train": 20, "val": 20, "test": 40})
    assert "split patients: 0" in words(report(root))


def test_pictures_of_cases_have_sizes_and_an_empty_heatmap_is_explained(root):
    file = root / "metrics/first/cases.npz"
    arrays = dict(np.load(file))
    arrays["heatmaps"][1] = 0
    np.savez(file, **arrays)
    page = report(root)
    assert page.count('width="16" height="8"') == page.count("<img ") == 2
    assert words(page).count("nothing in this image supports cancerous") == 1


def write_groups(root: Path) -> None:
    """Write groups.csv: a good, a bad and a small device, and a column that makes no groups."""
    base = {"split": "test", "num_examples": 30, "num_patients": 15, "num_of_rarest": 12, "note": ""}
    aucs = {"": 0.85, "GE": 0.9, "Toshiba": 0.6, "rare": 0.1}
    rows = [
        {**base, "column": "device" if device else "", "value": device or "all",
         "note": "too small to say: 2 of the rarest class" if device == "rare" else ""}
        | {f"{name}{end}": auc + shift for name in ("roc_auc", "recall", "specificity")
           for end, shift in (("", 0), ("_low", -0.1), ("_high", 0.1))}
        for device, auc in aucs.items()
    ]  # fmt: skip
    rows.append({"column": "histology", "note": "skipped: its value fixes the class"})
    pd.DataFrame(rows).to_csv(root / "metrics/first/groups.csv", index=False)


def test_groups_have_a_forest_and_the_worst_that_is_not_too_small_is_named(root):
    assert "Groups" not in words(report(root))
    write_groups(root)
    page = report(root)
    text = words(page)
    assert "Worst group: device Toshiba, AUC 0.600 (0.500 to 0.700) on 30 images, against 0.850" in text
    assert "Its interval is below the AUC of all images" in text
    assert "histology (skipped: its value fixes the class)" in text
    assert "too small to say: 2 of the rarest class" in text
    assert "specificity on test by group; the AUC of all images is 0.850" in page
    assert "not as expected" not in text


def test_other_thresholds_say_where_they_were_chosen(root):
    text = words(report(root))
    assert "At other thresholds" in text
    assert "The other thresholds were chosen on the validation images." in text
    assert "act by the model" in text
    file = root / "metrics/first/scores.npz"
    arrays = {name: array for name, array in np.load(file).items() if name.startswith("test_")}
    np.savez(file, **arrays)
    assert "chosen on these images, so their rows are optimistic" in words(report(root))
