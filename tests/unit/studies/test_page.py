"""The study's page: written whole, with the conclusions a person wrote."""

import pandas as pd
import pytest

from helpers.run_records.files import RecordError
from studies import page as page_module
from studies.page import Section, facts, runs_table, write_page
from tests.unit.studies.made_up_outcomes import made_up


def section() -> Section:
    return Section("one", "A question?", ["An answer."], {"": [[made_up(title="pooled")], [made_up()]]})


def test_the_page_keeps_what_a_person_concluded(tmp_path):
    page = tmp_path / "results.md"
    write_page(page, ["# Head"], [section()], {"pooled": ["--num-clients", "1"]}, 0.75)
    assert page.read_text().endswith(
        "## Conclusions\n\nNot written yet. The text of results-conclusions.md appears here.\n"
    )
    (tmp_path / "results-conclusions.md").write_text("It works.\n")
    for _ in range(2):
        write_page(page, ["# Head"], [section()], {"pooled": ["--num-clients", "1"]}, 0.75)
        assert page.read_text().endswith("## Conclusions\n\nIt works.\n")
    assert "| pooled | `--num-clients 1` |" in page.read_text()
    assert "](results/one.png)" in page.read_text()
    assert (tmp_path / "results/one.png").read_bytes().startswith(b"\x89PNG")
    assert list(pd.read_csv(tmp_path / "results/runs.csv")["run"]) == ["seed-1-pooled", "seed-1-case"]


def test_the_page_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    def fail(panels, level):
        raise RecordError("no picture")

    monkeypatch.setattr(page_module, "draw_curves", fail)
    with pytest.raises(RecordError):
        write_page(tmp_path / "results.md", [], [section()], {}, 0.75)
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_listed_once():
    assert len(runs_table([section(), section()], 0.75)) == 2


def test_other_versions_are_told():
    machine = dict.fromkeys(page_module.MACHINE, "?")
    one, other = made_up(), made_up(seed=2)
    assert "Caution" not in facts("command", machine, [one, other], {})
    other.files.facts["versions"] = {"code": "def", "numpy": "1"}
    assert "**Caution: not all runs were made with the same versions.**" in facts(
        "c", machine, [one, other], {}
    )
