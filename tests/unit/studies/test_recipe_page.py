"""The page of a recipe's study."""

import math

import pytest

from studies.cases import Case
from studies.recipe_page import differences_table, interval_over_seeds, results_table, write_recipe_page
from tests.unit.studies.made_up_outcomes import PERFECT, WRONG, made_up

CASES = [Case("pooled", "pooled", ()), Case("device", "by device", ("--partition", "site"))]


def test_the_interval_is_that_of_students_t():
    # Four values of mean 2 and standard deviation 1.2910: 3.1824 * 1.2910 / 2 = 2.0543.
    assert interval_over_seeds([0.5, 1.5, 2.5, 3.5]) == pytest.approx((2.0, -0.0543, 4.0543), abs=1e-4)
    assert math.isnan(interval_over_seeds([0.5, 1.5])[1])  # two values say next to nothing


def test_missing_runs_are_missing_and_the_last_round_is_told():
    one = made_up()
    one.files.best["test_roc_auc_of_last"] = 0.5
    rows = results_table(CASES, {"pooled": {1: one, 2: made_up(seed=2)}, "device": {}}, [1, 2]).splitlines()
    assert "| pooled | **0.750** | 0.750 " in rows[2]
    assert "| 0.625 | 3.0 | 4.0 |" in rows[2]
    assert rows[3].startswith("| by device | – | – | – |")


def test_differences_are_from_the_first_case_on_the_same_images():
    finished = {"pooled": {1: made_up(WRONG)}, "device": {1: made_up(PERFECT), 2: made_up(PERFECT, seed=2)}}
    rows = differences_table(CASES, finished, [1, 2]).splitlines()
    assert rows[2].startswith("| by device | **+1.000** | +1.000 ")
    assert rows[2].endswith("| – |")


def test_a_page_with_runs_missing_says_so(tmp_path):
    class Study:
        rounds = 24

        def is_finished(self, seed, case):
            return case.name == "pooled" or seed == 1

        def outcome(self, seed, case):
            return made_up(seed=seed, title=case.title)

    class Images:
        name, input_shape = "breasts", (64, 64)

        def fold(self, seed):
            return str(seed)

    write_recipe_page(tmp_path / "small.md", Study(), Images(), "small", CASES, [1, 2], ["pooled"])
    page = (tmp_path / "small.md").read_text()
    assert "(pooled: 1, 2; by device: 1)" in page
    assert (tmp_path / "small-curves.png").read_bytes().startswith(b"\x89PNG")
    assert "**Partial: 3 of 4 trainings are finished.**" in page
    assert "seeds: 1 (test fold 1), 2 (test fold 2)" in page
    assert "The text of small-conclusions.md appears here." in page
