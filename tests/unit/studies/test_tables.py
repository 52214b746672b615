"""Tables and sentences of the study's page."""

import numpy as np
import pytest

from studies.tables import (
    aim_sentence,
    counts_table,
    differences_table,
    results_table,
    shares_table,
)
from tests.unit.studies.made_up_outcomes import EVEN, PERFECT, made_up


def test_results_table():
    cases = [[made_up(title="pooled"), made_up(title="pooled", seed=2, validation=(0.1, 0.2, 0.3))]]
    assert results_table(cases, 0.8).splitlines() == [
        "|  | test AUC, mean | seed 1 | seed 2 | sensitivity at 90 % specificity, mean | "
        "rounds to validation AUC 0.8 | MB per round | s per round |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| pooled | 0.750 | 0.750 [0.500, 1.000] | 0.750 [0.500, 1.000] | 0.250 | 2 / – | 3.0 | 4.0 |",
    ]


def test_differences_table_and_undefined_values():
    row = differences_table([[made_up(EVEN, title="fed")]], [made_up(title="pooled")]).splitlines()
    assert row[0] == "| minus pooled | mean over seeds | seed 1 |"
    assert row[2] == "| fed | −0.500 [−0.686, −0.275] | −0.500 [−0.686, −0.275] |"


A_LITTLE_BETTER = np.where(np.isin(np.arange(32), [0, 1, 3]), 0.9, 0.5)
"""Two cancers and one other stand out: AUC ½ + ½ (2/16 − 1/16), and by whom it is, is chance."""


@pytest.mark.parametrize(
    ("scores", "reference", "difference", "verdict"),
    [
        (PERFECT, PERFECT, "+0.000 [+0.000, +0.000]", "the whole interval is above it: **met**"),
        (A_LITTLE_BETTER, EVEN, "+0.031 [", "the mean is above it, the interval is not: **not shown**"),
        (EVEN, PERFECT, "−0.500 [−0.686, −0.275]", "**missed**"),
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
