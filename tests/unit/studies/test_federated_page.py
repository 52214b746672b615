"""What the study of federated learning says of made-up runs: choices, differences, tables, the page."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import federated_page
from benchmarks.federated_outcomes import (
    best_by_validation,
    difference,
    hardest,
    mean_difference,
    read_outcome,
)
from benchmarks.federated_page import Section, facts, runs_table, write_page
from benchmarks.federated_sections import (
    algorithm_section,
    liar_section,
    partition_section,
    update_section,
)
from benchmarks.federated_tables import (
    aim_sentence,
    counts_table,
    differences_table,
    results_table,
    shares_table,
)
from benchmarks.learning_curves import range_over_seeds
from helpers.run_records.files import RecordError
from tests.made_up_outcomes import EVEN, PERFECT, WRONG, made_up


def test_what_a_run_says():
    one = made_up()
    assert (one.best_validation, one.megabytes, one.seconds) == (0.8, 3.0, 4.0)
    assert [one.rounds_to(auc) for auc in (0.6, 0.61, 0.81)] == [1, 2, None]


def test_the_hardest_division_is_chosen_by_mean_validation_whatever_the_test_says():
    outcomes = {
        "easy": [made_up(WRONG, validation=(0.9,)), made_up(WRONG, validation=(0.5,))],
        "hard": [made_up(PERFECT, validation=(0.6,)), made_up(PERFECT, validation=(0.7,))],
    }
    assert hardest(outcomes, ["easy", "hard"]) == "hard"


def test_the_best_client_alone_is_chosen_by_validation():
    undefined, good = made_up(validation=(np.nan,)), made_up(WRONG, validation=(0.2, 0.4))
    chosen = best_by_validation([undefined, good])
    assert (chosen.files, chosen.title) == (good.files, "best client alone")


def test_difference_of_a_perfect_and_an_inverse_ranking():
    assert difference(made_up(PERFECT), made_up(WRONG)) == {"difference": 1.0, "low": 1.0, "high": 1.0}
    assert difference(made_up(EVEN), made_up(PERFECT)) == {"difference": -0.5, "low": -0.5, "high": -0.5}


def test_mean_difference_is_the_mean_of_the_seeds():
    ones = [made_up(PERFECT, seed=1), made_up(EVEN, seed=2)]
    references = [made_up(WRONG, seed=1), made_up(EVEN, seed=2)]
    assert mean_difference(ones, references, 200) == {"difference": 0.5, "low": 0.5, "high": 0.5}


def test_a_patient_in_the_tests_of_two_seeds_is_drawn_once_for_both():
    """The same test twice is no more evidence than once: the interval is as wide as that of one seed."""
    noisy = np.random.default_rng(0).uniform(size=32)
    one_seed = mean_difference([made_up(noisy)], [made_up(EVEN)])
    ones = [made_up(noisy, seed=seed) for seed in (1, 2, 3, 4)]
    four = mean_difference(ones, [made_up(EVEN, seed=seed) for seed in (1, 2, 3, 4)])
    width, width_of_four = (found["high"] - found["low"] for found in (one_seed, four))
    assert width_of_four == pytest.approx(width, rel=0.15)  # half of it, were they drawn apart
    assert four["difference"] == pytest.approx(one_seed["difference"])


def test_a_mean_difference_on_too_few_images_has_no_interval():
    labels = np.array([0, 1])
    pair = made_up(labels * 0.5, labels=labels), made_up(labels * 0.5, labels=labels)
    assert mean_difference([pair[0]], [pair[1]]) == {"difference": 0.0, "low": None, "high": None}


def test_other_images_are_not_compared():
    with pytest.raises(RecordError, match="seed-1-case and seed-1-case were tested on other images"):
        difference(made_up(), made_up(digest="other"))


def test_a_run_that_is_not_finished_has_no_outcome(tmp_path):
    with pytest.raises(RecordError, match="run seed-1-x: not finished"):
        read_outcome(tmp_path, tmp_path, "seed-1-x", 1, "x")


def test_results_table():
    cases = [[made_up(title="pooled"), made_up(title="pooled", seed=2, validation=(0.1, 0.2, 0.3))]]
    assert results_table(cases, 0.8).splitlines() == [
        "|  | test AUC, mean | seed 1 | seed 2 | sensitivity at 90 % specificity, mean | "
        "rounds to validation AUC 0.8 | MB a round | s a round |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| pooled | 0.750 | 0.750 [0.500, 1.000] | 0.750 [0.500, 1.000] | 0.250 | 2 / – | 3.0 | 4.0 |",
    ]


def test_differences_table_and_undefined_values():
    row = differences_table([[made_up(EVEN, title="fed")]], [made_up(title="pooled")]).splitlines()
    assert row[0] == "| minus pooled | mean over seeds | seed 1 |"
    assert row[2] == "| fed | −0.500 [−0.500, −0.500] | −0.500 [−0.500, −0.500] |"


A_LITTLE_BETTER = np.where(np.isin(np.arange(32), [0, 1, 3]), 0.9, 0.5)
"""Two cancers and one other stand out: AUC ½ + ½ (2/16 − 1/16), and by whom it is, is chance."""


@pytest.mark.parametrize(
    ("scores", "reference", "difference", "verdict"),
    [
        (PERFECT, PERFECT, "+0.000 [+0.000, +0.000]", "the whole interval lies above it: **met**"),
        (A_LITTLE_BETTER, EVEN, "+0.031 [", "the mean lies above it, the interval does not: **not shown**"),
        (EVEN, PERFECT, "−0.500 [−0.500, −0.500]", "**missed**"),
    ],
)
def test_the_aim_is_met_only_where_the_whole_interval_is_above_it(scores, reference, difference, verdict):
    sentence = aim_sentence([made_up(scores)], [made_up(reference, title="pooled")])
    assert sentence.startswith(f"- case − pooled: {difference}")
    assert sentence.endswith(f"; the aim is above −0.02; {verdict}.")


def test_counts():
    counts = {"train": {"0": 5, "1": 3}, "val": {"0": 1, "1": 1}, "test": {"0": 2, "1": 0}}
    patients = {"train": 4, "val": 1, "test": 2}
    rows = counts_table({7: {"counts": counts, "patients": patients}}).splitlines()
    assert rows[2] == "| seed 7 | 8 (3), 4 patients | 2 (1), 1 patients | 2 (0), 2 patients |"


DIVIDED = {"0": {"0": 5, "1": 3}, "1": {"0": 1, "1": 0}}


def test_shares_are_told_by_site_whatever_its_number():
    both = made_up(title="by device", partition=DIVIDED, sites=["A", "B"])
    one = made_up(title="by device", seed=2, partition={"0": {"0": 2, "1": 2}}, sites=["B"])
    assert shares_table([both, one]).splitlines()[2:] == ["| A | 8 (3) | – |", "| B | 1 (0) | 4 (2) |"]
    assert "| client 1 | 1 (0) |" in shares_table([made_up(partition=DIVIDED)])


def test_sections_say_who_was_chosen_and_what_is_compared_with_what():
    pooled, honest = [made_up(title="pooled")], [made_up(title="honest")]
    alone = made_up(title="best client alone", sites=["A", "B"], settings={"CLIENTS": [1]})
    fed, other = [made_up(EVEN, title="fed", partition=DIVIDED)], [made_up(WRONG, title="other")]

    first = partition_section(pooled, [alone], [fed], 0.75)
    assert "among the sites: seed 1: B." in first.parts[1]
    assert first.panels == {"": [pooled, [alone], fed]}
    assert any("| fed | −0.500 [" in part for part in first.parts)
    assert any("fed − pooled: −0.500" in part for part in first.parts)

    second = algorithm_section(fed, [other], pooled, 0.75)
    assert "**fed**" in second.parts[0]
    assert any(part.startswith("| minus fed |") and "| other | −0.500 [" in part for part in second.parts)
    assert any(part.startswith("| minus pooled |") and "| other | −1.000 [" in part for part in second.parts)

    smaller = update_section(fed, [other], 0.75)
    assert "**fed**" in smaller.parts[0]
    assert any(part.startswith("| minus fed |") and "| other | −0.500 [" in part for part in smaller.parts)
    assert smaller.panels == {"": [fed, other]}

    third = liar_section(honest, {"labels": [other], "noise": [fed]}, 0.75)
    assert "multi-Krum has 7 clients" in third.parts[0]
    assert third.panels == {"labels flipped": [honest, other], "noise sent as update": [honest, fed]}


def test_curves_are_mean_and_range_of_the_seeds():
    low, mean, high = range_over_seeds([made_up(validation=(0.2, 0.4, 0.9)), made_up(validation=(0.6, 0.6))])
    assert np.allclose([low, mean, high], [[0.2, 0.4], [0.4, 0.5], [0.6, 0.6]])


def section() -> Section:
    return Section("one", "A question?", ["An answer."], {"": [[made_up(title="pooled")], [made_up()]]})


def test_the_page_keeps_what_a_person_concluded(tmp_path):
    page = tmp_path / "results.md"
    write_page(page, ["# Head"], [section()], {"pooled": ["--num-clients", "1"]}, 0.75)
    assert page.read_text().endswith(
        "## Conclusions\n\nNone are written yet. What stands in results-conclusions.md comes here.\n"
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

    monkeypatch.setattr(federated_page, "draw_curves", fail)
    with pytest.raises(RecordError):
        write_page(tmp_path / "results.md", [], [section()], {}, 0.75)
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_listed_once():
    assert len(runs_table([section(), section()], 0.75)) == 2


def test_other_versions_are_told():
    machine = dict.fromkeys(federated_page.MACHINE, "?")
    one, other = made_up(), made_up(seed=2)
    assert "Caution" not in facts("command", machine, [one, other], {})
    other.files.facts["versions"] = {"code": "def", "numpy": "1"}
    assert "**Caution: not all runs were made with the same versions.**" in facts(
        "c", machine, [one, other], {}
    )
