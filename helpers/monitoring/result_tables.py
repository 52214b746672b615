"""What a training prints at its end: its rounds and its test, or the ways a budget was spent."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from helpers.reporting.pictures import several_shortened

SHOWN = ("train_loss", "val_loss", "accuracy", "precision", "recall", "f1_score", "roc_auc")
NOTHING = "–"


def print_results(
    console: Console,
    rounds: pd.DataFrame,
    test: dict[str, Any],
    class_names: Sequence[str],
    paths: list[Path],
) -> None:
    """Print the metrics of every round and of the test, and where the files lie.

    Args:
        console: where to.
        rounds: rounds.csv.
        test: the row of test.csv.
        class_names: in order of the labels; of two, precision and the like are of the second, of more, means.
        paths: files and folders worth a look.
    """
    headers = [name.replace("_", " ") for name in SHOWN]
    table = Table(
        "round", "clients", *headers, "s", title="Validation, averaged model", box=None, pad_edge=False
    )
    for row in rounds.to_dict("records"):
        counts = [str(row[name]) for name in ("round", "num_clients")]
        table.add_row(*counts, *(shown(row[name]) for name in SHOWN), shown(row["seconds"], 1))
    console.print(table)
    title = f"Test of the best model (round {test['round']}), used once: {test['num_examples']} images"
    table = Table("metric", "value", "95 % interval", title=title, box=None, pad_edge=False)
    if len(class_names) == 2:
        table.add_row("class 1, of precision and recall", Text(class_names[1]))
        table.add_row("decision threshold, from validation", shown(test["threshold"]))
    else:
        names = Text(several_shortened(class_names))
        table.add_row("means over the classes, each alone in test_classes.csv", names)
    for name in (*SHOWN[2:], "specificity", "sensitivity_at_90_specificity", "calibration_error"):
        table.add_row(name.replace("_", " "), shown(test[name]), _interval(test, name))
    console.print(table)
    for path in paths:
        console.print(f"  {path}", highlight=False, soft_wrap=True)


def print_comparison(console: Console, table: pd.DataFrame, paths: list[Path]) -> None:
    """Print what `compare_runs` returned, and files worth a look."""
    title = "The same budget spent several ways: test ROC-AUC, and how much better the first is"
    view = Table(
        "model", "AUC", "95 % interval", "difference", "95 % interval", title=title, box=None, pad_edge=False
    )
    for row in table.fillna("").to_dict("records"):
        own, gap = (_interval(row, name) for name in ("roc_auc", "difference"))
        view.add_row(row["model"], shown(row["roc_auc"]), own, shown(row["difference"]), gap)
    console.print(view)
    for path in paths:
        console.print(f"  {path}", highlight=False, soft_wrap=True)


def _interval(row: Mapping[Any, Any], name: str) -> str:
    """From where to where; a dash where there is none."""
    low, high = (shown(row[f"{name}_{end}"]) for end in ("low", "high"))
    return low if low == high == NOTHING else f"{low} to {high}"


def shown(value: Any, digits: int = 3) -> str:
    """A number with so many decimals; a dash where there is none."""
    return NOTHING if value in (None, "") else f"{float(value):.{digits}f}"
