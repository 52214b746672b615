"""Tables at the end of a training, at most 80 columns wide."""

from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from helpers.monitoring.result_tables import ROUND_HEADERS, TEST_METRICS, print_comparison, print_results

WIDTH = 80


def printed(show: Any, *arguments: Any) -> list[str]:
    """Return the lines that are printed on 80 columns, none of them wider."""
    console = Console(file=StringIO(), width=WIDTH)
    show(console, *arguments)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= WIDTH
    return [" ".join(line.split()) for line in lines]


@pytest.fixture
def rounds() -> pd.DataFrame:
    """A round with numbers as long as they get."""
    row = dict.fromkeys(ROUND_HEADERS, "0.12345") | {"round": "1000", "num_clients": "10000"}
    row |= {"train_loss": "12.345", "val_loss": "", "seconds": "3599.94"}
    return pd.DataFrame([row])


@pytest.fixture
def test_row() -> dict[str, Any]:
    row: dict[str, Any] = {"round": 100, "num_examples": 40, "threshold": 0.4}
    row |= {f"{name}{end}": 0.5 for name in TEST_METRICS for end in ("", "_low", "_high")}
    return row | {"recall": None, "recall_low": None, "recall_high": None, "roc_auc_high": 0.625}


def test_the_tables_at_the_end(rounds, test_row):
    lines = printed(print_results, rounds, test_row, ("[benign]", "[malignant]"), [Path("metrics/[first]")])
    assert "round clients loss loss accuracy precision recall F1 AUC s" in lines
    assert "1000 10000 12.345 – 0.123 0.123 0.123 0.123 0.123 3599.9" in lines
    assert "Test of the best model (round 100), not used for any choice: 40 images" in lines
    assert "class 1: [malignant]; decision threshold 0.400" in lines
    assert "ROC-AUC 0.500 0.500 to 0.625" in lines
    assert "recall (sensitivity) – –" in lines
    assert lines[-1] == "metrics/[first]"


def test_the_most_serious_cautions_are_shown(rounds, test_row):
    cautions = ["patients are [unknown]", "few images", "few rounds"]
    lines = printed(print_results, rounds, test_row, ("a", "b"), [Path("metrics/x")], cautions)
    said = ["Caution: patients are [unknown]", "Caution: few images", "The report has 1 more", "metrics/x"]
    assert lines[-4:] == said


def test_many_classes_are_listed_shortened(rounds, test_row):
    lines = printed(print_results, rounds, test_row, [f"[{n}]" for n in range(9)], [])
    said = (
        "means over the classes (each one: test_classes.csv): [0], [1], [2], [3], [4], [5], [6], [7], … (9)"
    )
    assert said in " ".join(lines)


def test_the_comparison_of_budgets():
    first = {"model": "federated", "roc_auc": 0.75, "roc_auc_low": 0.5, "roc_auc_high": 1.0}
    second = first | {
        "model": "client 100 alone", "difference": -0.125, "difference_low": -0.25, "difference_high": 0,
    }  # fmt: skip
    lines = printed(print_comparison, pd.DataFrame([first, second], dtype=object), [Path("compare.csv")])
    assert "federated 0.750 0.500 to 1.000 – –" in lines
    assert "client 100 alone 0.750 0.500 to 1.000 -0.125 -0.250 to 0.000" in lines
    assert lines[-1] == "compare.csv"
