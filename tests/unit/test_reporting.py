"""The report of a run: whatever its files hold or lack, one page that is safe, honest and always the same."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from helpers.reporting import operating_curves
from helpers.reporting.cautions import auc_standard_error, cautions
from helpers.reporting.curves import draw_losses
from helpers.reporting.pictures import drawing
from helpers.reporting.report import write_report
from helpers.reporting.run_files import SplitScores, read_run
from helpers.reporting.tables import confusion
from helpers.reporting.timeline import client_bars

HOSTILE = "<script>alert('x')</script>$\\frac{&"
INTERVALS = ("roc_auc", "average_precision", "recall", "specificity")
FILES = ("rounds.csv", "clients.csv", "test.csv", "scores.npz", "cases.npz", "run.json")


@pytest.fixture(autouse=True, scope="module")
def few_resamples():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operating_curves, "RESAMPLES", 50)
        yield


def write_run(root: Path, run: str = "first", *, finished: bool = True, name: str = "worker1@host") -> None:
    """A run of three rounds and two clients, one of which fails in round 2; `name` is in every text."""
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
    found = {"exact_duplicates": 0, "near_duplicates": 1, "label_conflicts": 0, "split_patients": 0}
    facts = {
        "run": run, "settings": {"EPOCHS": 4, "NOTE": name}, "data_digest": "0" * 64, "versions": {"a": name},
        "data": {"source": name, "grouped_by": None, "counts": counts, "patients": None, "left_out": [name],
                 "audit": found},
        "partition": {"0": {"0": 20, "1": 10}, "1": {"0": 20, "1": 10}},
    }  # fmt: skip
    (metrics / "run.json").write_text(json.dumps(facts))
    (root / "audit.csv").write_text("kind,file,other,detail\n" + f'near_duplicate,"{name}",b.png,0.99\n')
    if finished:
        write_test(metrics, name)


def write_test(metrics: Path, name: str) -> None:
    """What the end of a run writes."""
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
    """A finished run to be damaged."""
    return Path(shutil.copytree(finished, tmp_path / "root"))


def words(page: str) -> str:
    """The text of a page."""
    parser = HTMLParser()
    parts: list[str] = []
    parser.handle_data = parts.append  # type: ignore[method-assign]
    parser.feed(page)
    return " ".join(" ".join(parts).split())


def test_a_finished_run_shows_everything_and_stays(finished):
    page = report(finished)
    assert 'http-equiv="refresh"' not in page
    assert page.count("<svg ") == page.count('role="img" aria-label="') == 9
    assert page.count('src="data:image/png;base64,') == 2
    assert page.count("<img ") == page.count("alt=")
    text = words(page)
    for said in ("Finished after 3 rounds of 4", "Best model: round 3", "0.900 95 %: 0.800 to 0.950",
                 "no medical device", "at threshold 0.400", "2 ok, 1 failed",
                 "worker1@host: cancerous, called cancerous, score 0.900",
                 "worker1@host: non-cancerous, called cancerous, score 0.800"):  # fmt: skip
        assert said in text
    assert "not as expected" not in text


def test_needs_nothing_from_outside(finished):
    page = report(finished)
    links = re.findall(r'(?:src|href|url)\s*[=(]\s*"?([^">)]*)', page)
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "<script" not in page
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    referred = re.findall(r'(?:xlink:href="|href="|url\()#([^")]+)', page)
    assert set(referred) <= set(ids)


def test_nothing_that_is_closed_is_missing_from_a_print_without_a_word(finished):
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
    assert text.count("comes with the test") == 3
    stopped = report(tmp_path)
    assert 'http-equiv="refresh"' not in stopped
    assert "Stopped after 3 of 4 rounds; --resume goes on." in words(stopped).replace(" ;", ";")
    assert "follows the run" not in stopped
    write_test(tmp_path / "metrics" / "first", "w")
    for is_running in (True, False):
        page = report(tmp_path, is_running=is_running)
        assert 'http-equiv="refresh"' not in page
        assert "Finished" in words(page)


def test_names_from_files_are_shown_not_run(tmp_path):
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
    assert 4 <= page.count("<svg ") <= 9


@pytest.mark.parametrize("damage", [b"", b"\x00\xff[1, 2", b"[1, 2]", b"round\nx\n"])
def test_damaged_files_are_named(root, damage):
    for name in FILES:
        (root / "metrics" / "first" / name).write_bytes(damage)
    text = words(report(root))
    assert "No round is finished yet." in text
    for name in ("scores.npz", "cases.npz", "run.json"):
        assert f"{name} could not be read" in text or f"{name} holds no names" in text


def test_fields_of_the_wrong_kind_cost_only_their_section(root):
    file = root / "metrics" / "first" / "run.json"
    facts = json.loads(file.read_text())
    wrong = {"data": {"counts": "x"}, "partition": [1], "versions": 3, "settings": None}
    file.write_text(json.dumps(facts | wrong))
    text = words(report(root))
    assert text.count("not as expected") == 2  # data, and the warnings that rest on them
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


def test_hanley_and_mcneil_by_hand():
    # A = 0.5: Q1 = Q2 = 1/3; (1/4 + 19/12 + 19/12) / 400
    assert auc_standard_error(0.5, 20, 20) == pytest.approx(((1 / 4 + 2 * 19 / 12) / 400) ** 0.5)
    assert auc_standard_error(1.0, 20, 20) == 0


def test_warns_in_words(finished):
    files = read_run(finished / "metrics", finished / "models", "first")
    text = "\n".join(cautions(files))
    error = 1.96 * auc_standard_error(0.75, 40, 40)
    for said in (
        f"Validation has 80 images (40 cancerous): its AUC is known to ± {error:.2f}",
        "1 near duplicate found",
        "Patients are unknown",
        "Client 1 failed in round 2: worker1@host",
        "Only 3 rounds",
        "In 3 rounds the averaged model puts every validation image into one class",
        "threshold chosen on validation, 0.400",
        "its 95 % interval is wide: 0.800 to 0.950",
    ):
        assert said in text


def test_does_not_warn_without_reason(root):
    file = root / "metrics" / "first" / "run.json"
    facts = json.loads(file.read_text())
    facts["data"] |= {"audit": {"near_duplicates": 0}, "patients": {"train": 9}}
    file.write_text(json.dumps(facts))
    text = "\n".join(cautions(read_run(root / "metrics", root / "models", "first")))
    for word in ("duplicate", "Patients", "only images of one class", "could not be read"):
        assert word not in text


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
        assert "clients, validation" not in draw_losses(files.rounds, files.clients).svg
        clients = files.clients.assign(val_loss=[0.5, 0.9, 0.6, np.nan, np.nan, np.nan])
        assert "clients, validation" in draw_losses(files.rounds, clients).svg


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
    counts = confusion(split, 0.5)
    assert counts.rows == [("non-cancerous", [(1, 0.5), (1, 0.5)]), ("cancerous", [(1, 1 / 3), (2, 2 / 3)])]


def test_the_lane_of_a_client_is_full_from_dispatch_to_aggregation():
    row = {"started_at": 1.0, "seconds": 5.0, "transfer_seconds": 1.0, "status": "ok"}
    bars = sorted((left, right, what) for what, (left, right, _, _) in client_bars(row, 8.0, 0.0))
    assert bars == [
        (0, 1, "waiting"), (1, 1.5, "transfer"), (1.5, 5.5, "training"), (5.5, 6, "transfer"),
        (6, 8, "waiting"),
    ]  # fmt: skip
    assert client_bars(row | {"status": "missing"}, 8.0, 0.0) == [("failed or missing", (0, 8.0, 0.0, 0.8))]
