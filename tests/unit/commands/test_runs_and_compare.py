"""`run.py runs` and `run.py compare`."""

import json
import os
import re
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import run
from commands.compare import compare
from commands.runs import CAUTION, delete, main, runs
from helpers.global_config import Config
from helpers.reporting.compare_page import LONGEST_NAME
from helpers.reporting.summaries import summarize
from helpers.settings.errors import UserError

ROUNDS = "round,num_clients,val_loss,roc_auc,seconds\n1,3,0.7,0.6,2\n2,3,0.6,{auc},2\n"


def write_run(root: Path, name: str, auc: float, test: float | None = None, **settings: object) -> None:
    folder = root / "metrics" / name
    folder.mkdir(parents=True)
    (folder / "rounds.csv").write_text(ROUNDS.format(auc=auc))
    facts = {"settings": {"EPOCHS": 2, **settings}, "data_digest": "d"}
    (folder / "run.json").write_text(json.dumps(facts))
    if test is not None:
        row = f"best,2,0.5,40,{test},{test - 0.1},{test + 0.05}"
        header = "model,round,threshold,num_examples,roc_auc,roc_auc_low,roc_auc_high"
        (folder / "test.csv").write_text(f"{header}\n{row}\n")
        labels, scores = np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.6, 0.4])
        np.savez(folder / "scores.npz", test_labels=labels, test_scores=scores)


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DT_METRICS_DIR", str(tmp_path / "metrics"))
    monkeypatch.setenv("DT_MODELS_DIR", str(tmp_path / "models"))
    return tmp_path


def printed(command, *arguments) -> str:
    console = Console(file=StringIO(), width=80)
    command(Config.load(), *arguments, console)
    return console.file.getvalue()


def table_lines(text: str) -> list[str]:
    """Return the lines that are neither sentences nor paths, none of them wider than the terminal."""
    lines = [line for line in text.splitlines() if not line.endswith((".", ".html"))]
    assert max(map(len, lines)) <= 80
    return lines


def test_runs_come_best_first_by_validation_whatever_the_test_says(root):
    write_run(root, "middle", 0.9, 0.7)
    write_run(root, "[best]", 0.6, 0.8)
    write_run(root, "open-good", 0.95)
    write_run(root, "open-bad", 0.55)
    (root / "metrics" / "no-run").mkdir()
    lines = [line.split() for line in printed(runs).splitlines() if re.search(r"\d/\d", line)]
    assert [line[0] for line in lines] == ["open-good", "middle", "[best]", "open-bad"]
    assert lines[2][1:5] == ["0.800", "0.600", "2/2", "3"]
    assert [line[-1] for line in lines] == ["unfinished", "finished", "finished", "unfinished"]
    assert "Best by validation, on equal images: open-good." in printed(runs)


def test_runs_on_other_images_stand_apart(root):
    for name, auc, digest in (("a", 0.6, "d"), ("b", 0.9, "e"), ("c", 0.8, "d")):
        write_run(root, name, auc, 0.7)
        facts = root / "metrics" / name / "run.json"
        facts.write_text(facts.read_text().replace('"d"', f'"{digest}"'))
    text = printed(runs)
    assert [line.split()[0] for line in text.splitlines() if "2/2" in line] == ["c", "a", "b"]
    assert "Others cannot be compared" in text
    assert "Best by validation, on equal images: c." in text


def test_a_choice_by_test_is_warned_of_once_there_is_one(root):
    write_run(root, "tested", 0.9, 0.7)
    write_run(root, "open", 0.9)
    assert CAUTION not in " ".join(printed(runs).split())
    write_run(root, "tested-too", 0.9, 0.7)
    assert CAUTION in " ".join(printed(runs).split())


def test_long_names_fit_80_columns(root):
    names = ["busbra-fedprox-mu-0.01-seed-3-client-12-alone", "2026-11-24_12-00-00", "b" * 90]
    for name in names:
        write_run(root, name, 0.9, 0.7, ARCHITECTURE=f"{name}:build")
    lines = table_lines(printed(runs))
    assert any(re.match(r"2026-11-24_12-00-00 +0\.700", line) for line in lines)
    assert not any("…" in line for line in lines)
    lines = table_lines(printed(compare, names))
    intervals = [line.split("[")[1:] for line in lines if line.startswith("test ROC-AUC")]
    assert [len(line) for line in intervals] == [2, 1]  # the third run is below the others
    assert not any("…" in line for line in lines)


def test_no_run_yet_is_said_with_what_to_do(root):
    assert "python run.py train" in " ".join(printed(runs).split())


@pytest.mark.parametrize("digest", ["", None])
def test_runs_on_unknown_images_as_at_sites_are_not_comparable(root, digest):
    for name in ("a", "b"):
        write_run(root, name, 0.8, 0.7)
        facts = json.loads((root / "metrics" / name / "run.json").read_text())
        (root / "metrics" / name / "run.json").write_text(json.dumps(facts | {"data_digest": digest}))
    text = printed(runs)
    rows = [line.strip() for line in text.splitlines() if "2/2" in line or not line.strip()]
    assert rows[1] == ""  # between the two
    assert "Others cannot be compared" in text
    assert "Best by validation" not in text
    assert "their metrics cannot be compared" in " ".join(printed(compare, ["a", "b"]).split())


def test_several_differences_have_a_caution(root):
    for name, test in (("a", 0.7), ("b", 0.75), ("c", 0.8)):
        write_run(root, name, 0.8, test)
    said = "of many, some exclude 0 by chance"
    assert said in " ".join(printed(compare, ["a", "b", "c"]).split())
    assert said not in " ".join(printed(compare, ["a", "b"]).split())


def test_no_run_that_matches_is_said_with_the_folder_and_the_others(root, capsys):
    write_dated(root, "a", "b")
    assert run.call("runs", ["--match", "zzz"]) == 0
    said = capsys.readouterr().out
    assert said == f"no such run among the 2 in {root / 'metrics'}; `python run.py runs` lists them\n"


def test_compare_prints_a_table_and_writes_a_page(root):
    write_run(root, "a", 0.9, 0.7, SEED=1)
    write_run(root, "b", 0.8, 0.75, SEED=2)
    text = printed(compare, ["a", "b", "a"])
    assert re.search(r"test ROC-AUC +0\.700 \[0\.600, 0\.750\] +0\.750 \[0\.650, 0\.800\]", text)
    assert re.search(r"SEED +1 +2", text)
    assert "EPOCHS" not in text
    page = (root / "metrics" / "compare-a-b.html").read_text()
    assert page.count("<svg ") == 3
    assert 'http-equiv="refresh"' not in page
    assert "cannot be compared" not in page


def test_compare_says_when_the_images_differ_or_a_test_is_missing(root):
    write_run(root, "a", 0.9, 0.7)
    write_run(root, "b", 0.8)
    (root / "metrics" / "b" / "run.json").write_text("{}")
    text = printed(compare, ["a", "b"])
    assert "their metrics cannot be compared" in " ".join(text.split())
    assert "Not tested yet: b" in text


def test_names_are_no_markup_and_no_html(root):
    write_run(root, "[red]<b>", 0.9, 0.7)
    write_run(root, "$x_{", 0.9, 0.7)
    assert "[red]<b>" in printed(compare, ["[red]<b>", "$x_{"])
    (page,) = (root / "metrics").glob("compare-*.html")
    assert "<b>" not in page.read_text()


def test_many_long_names_still_make_a_file(root):
    names = [letter * 90 for letter in "abc"]
    for name in names:
        write_run(root, name, 0.9)
    printed(compare, names)
    (page,) = (root / "metrics").glob("compare-*.html")
    assert len(page.name) < LONGEST_NAME + 30


@pytest.mark.parametrize(("there", "message"), [((), "none yet"), (("first", "second"), "first, second")])
def test_an_unknown_run_is_refused_with_one_line_that_lists_the_known(root, capsys, there, message):
    for name in there:
        write_run(root, name, 0.9)
    assert run.call("compare", ["frist", "second" if there else "x"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: no run frist")
    assert error.endswith(f"existing runs: {message}\n")
    assert error.count("\n") == 1


def test_runs_through_run_py(root, capsys):
    write_run(root, "first", 0.9)
    assert run.call("runs", []) == 0
    assert "first" in capsys.readouterr().out


@pytest.mark.parametrize("way", ["option", "file"])
def test_the_runs_of_another_place_are_found(tmp_path, way, capsys, monkeypatch):
    monkeypatch.setenv("DT_MODELS_DIR", str(tmp_path / "models"))
    for name in ("first", "second"):
        write_run(tmp_path, name, 0.9, 0.7)
    (tmp_path / "best.toml").write_text(f"METRICS_DIR = {str(tmp_path / 'metrics')!r}\n")
    where = ["--metrics-dir", str(tmp_path / "metrics")]
    if way == "file":
        where = ["--config", str(tmp_path / "best.toml")]
    assert run.call("runs", where) == 0
    assert "second" in capsys.readouterr().out
    assert run.call("compare", ["first", "second", *where]) == 0
    assert (tmp_path / "metrics" / "compare-first-second.html").exists()


def test_a_settings_file_that_is_not_there_is_refused_with_one_line(root, capsys):
    assert run.call("runs", ["--config", str(root / "no.toml")]) == 2
    assert capsys.readouterr().err == f"error: settings file {root / 'no.toml'}: not found\n"


def write_dated(root: Path, *names: str) -> None:
    """Write finished runs, each changed a day after the one before."""
    for day, name in enumerate(names, start=1):
        write_run(root, name, 0.6, 0.7)
        (root / "models" / name).mkdir(parents=True)
        for file in (root / "metrics" / name).iterdir():
            os.utime(file, (day * 86_400, day * 86_400))


def listed(capsys, *arguments: str) -> list[str]:
    assert main(arguments) == 0
    return [line.split()[0] for line in capsys.readouterr().out.splitlines() if re.search(r"\d/\d", line)]


def test_runs_by_date_and_filtered(root, capsys):
    write_dated(root, "old", "middle", "new")
    write_run(root, "open", 0.9)
    assert listed(capsys, "--sort", "date") == ["open", "new", "middle", "old"]
    assert listed(capsys, "--sort", "date", "--match", "*d*") == ["middle", "old"]
    assert listed(capsys, "--state", "unfinished") == ["open"]
    assert listed(capsys, "--since", "1970-01-04") == ["open", "new"]
    assert listed(capsys, "--since", "1970-1-4") == ["open", "new"]
    with pytest.raises(UserError, match="--since: received 'soon'; expected a date"):
        main(["--since", "soon"])


def test_one_table_of_all_runs(root, capsys):
    write_run(root, "a", 0.9, 0.7, SEED=1)
    write_run(root, "b", 0.8, STRATEGY="median")
    assert main(["--export", str(root / "runs.csv")]) == 0
    assert capsys.readouterr().out == f"2 runs: {root / 'runs.csv'}\n"
    table = pd.read_csv(root / "runs.csv")
    assert table[["run", "best_validation_auc", "SEED"]].fillna(0).to_numpy().tolist() == [
        ["a", 0.9, 1], ["b", 0.8, 0],
    ]  # fmt: skip
    assert table["test_roc_auc"].tolist()[0] == 0.7
    assert table["STRATEGY"].tolist()[1] == "median"


def names_left(root: Path) -> list[str]:
    left = {path.name for folder in ("metrics", "models") for path in (root / folder).iterdir()}
    return sorted(left)


def test_all_but_the_newest_are_deleted(root, capsys):
    write_dated(root, "a", "b", "c")
    with pytest.raises(UserError, match="add --yes"):
        main(["--keep", "2"])
    assert names_left(root) == ["a", "b", "c"]
    assert main(["--keep", "2", "--yes"]) == 0
    assert names_left(root) == ["b", "c"]
    assert "1 to delete: a" in capsys.readouterr().out
    assert main(["--delete", "--match", "x*", "--yes"]) == 0
    assert "nothing to delete" in capsys.readouterr().out
    with pytest.raises(UserError, match="--keep: received 0"):
        main(["--keep", "0"])


@pytest.mark.parametrize(("answer", "left"), [("y", []), ("no", ["a"]), ("", ["a"])])
def test_it_asks_before_it_deletes(root, answer, left):
    write_dated(root, "a")
    questions = []

    def ask(question: str) -> str:
        questions.append(question)
        return answer

    delete(Config.load(), summarize(root / "metrics", root / "models"), is_sure=False, ask=ask)
    assert names_left(root) == left
    assert questions == [f"Delete their folders in {root / 'metrics'} and {root / 'models'}? [y/N] "]


@pytest.mark.parametrize("name", ["METRICS_DIR", "MODELS_DIR"])
def test_it_deletes_nothing_if_only_one_of_the_places_is_set(root, monkeypatch, name):
    write_dated(root, "a")
    monkeypatch.delenv(f"DT_{name}")
    with pytest.raises(
        UserError, match=f"nothing was deleted: {name} is not set, .*--{name.lower().replace('_', '-')}"
    ):
        delete(Config.load(), summarize(root / "metrics", root / "models"), is_sure=True)
    assert names_left(root) == ["a"]


def test_a_run_in_training_is_never_deleted(root, capsys):
    write_dated(root, "a", "alive")
    (root / "models/alive/.epoch-000000001-0a1b2c3d").mkdir()
    assert main(["--delete", "--yes"]) == 0
    assert names_left(root) == ["alive"]
    assert "kept: alive is not finished and has changed lately" in capsys.readouterr().out


def test_a_run_that_is_resumed_during_the_question_is_kept(root, capsys):
    write_dated(root, "a", "b")

    def resume(question: str) -> str:
        (root / "models/b/.epoch-000000002-0a1b2c3d").mkdir()
        return "y"

    delete(Config.load(), summarize(root / "metrics", root / "models"), is_sure=False, ask=resume)
    assert names_left(root) == ["b"]
    assert capsys.readouterr().out.endswith("may be in training\ndeleted: 1\n")


def test_runs_on_the_same_images_are_compared_in_pairs(root):
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    for name, noise in (("good", 0.3), ("bad", 1.5), ("elsewhere", 0.3)):
        write_run(root, name, 0.9, 0.7)
        scores = 1 / (1 + np.exp(-(labels - 0.5 + noise * generator.normal(size=80))))
        np.savez(root / "metrics" / name / "scores.npz", test_labels=labels, test_scores=scores)
    facts = root / "metrics/elsewhere/run.json"
    facts.write_text(facts.read_text().replace('"d"', '"e"'))
    text = printed(compare, ["good", "bad"])
    assert re.search(r"ROC-AUC of the first minus this one +– +0\.\d+ \[0\.\d+, 0\.\d+\]", text)
    assert "whose interval includes 0 may be chance" in " ".join(text.split())
    assert "minus this one, paired" in (root / "metrics/compare-good-bad.html").read_text()
    assert "minus this one" not in printed(compare, ["good", "elsewhere"])
