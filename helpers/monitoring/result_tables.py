"""Tables printed at the end: rounds and test of a run, or the runs of `--compare`. They fit 80 columns."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from helpers.reporting.pictures import several_shortened
from helpers.settings.outside_text import printable

ROUND_HEADERS = {  # columns of rounds.csv: headers
    "round": "round",
    "num_clients": "clients",
    "train_loss": "train\nloss",
    "val_loss": "val\nloss",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1_score": "F1",
    "roc_auc": "AUC",
    "seconds": "s",
}
DIGITS = {"round": 0, "num_clients": 0, "seconds": 1}
TEST_METRICS = {  # columns of test.csv: names
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall (sensitivity)",
    "f1_score": "F1",
    "roc_auc": "ROC-AUC",
    "specificity": "specificity",
    "sensitivity_at_90_specificity": "sensitivity at 90 % specificity",
    "calibration_error": "calibration error",
}
NOTHING = "–"
CAUTIONS_SHOWN = 2


def print_results(
    console: Console,
    rounds: pd.DataFrame,
    test: dict[str, Any],
    class_names: Sequence[str],
    paths: Sequence[Path | str],
    cautions: Sequence[str] = (),
) -> None:
    """Print the metrics of every round and of the test, cautions, and the paths of the results.

    Args:
        console: the output.
        rounds: rounds.csv.
        test: the row of test.csv.
        class_names: in order of the labels.
        paths: files and folders to list.
        cautions: why the numbers may mislead.
    """
    console.print("Validation, averaged model", style="bold")
    table = _table(*ROUND_HEADERS.values())
    for row in rounds.to_dict("records"):
        table.add_row(*(shown(row[name], DIGITS.get(name, 3)) for name in ROUND_HEADERS))
    console.print(table)
    use = f"not used for any choice: {test['num_examples']} images"
    title = f"Test of the best model (round {test['round']}), {use}"
    console.print(f"\n{title}", style="bold", highlight=False)
    console.print(Text(printable(_meaning(test, class_names))))
    table = _table("metric", "value", "95 % interval")
    for column, name in TEST_METRICS.items():
        table.add_row(name, shown(test[column]), _interval(test, column))
    console.print(table)
    for caution in cautions[:CAUTIONS_SHOWN]:
        console.print(Text(printable(f"Caution: {caution}")))
    if (more := len(cautions) - CAUTIONS_SHOWN) > 0:
        console.print(f"The report has {more} more")
    _print_paths(console, paths)


def _meaning(test: dict[str, Any], class_names: Sequence[str]) -> str:
    """What precision, recall and the like refer to."""
    if len(class_names) > 2:
        return f"means over the classes (each one: test_classes.csv): {several_shortened(class_names)}"
    return f"class 1: {class_names[1]}; decision threshold {shown(test['threshold'])}"


def print_comparison(console: Console, table: pd.DataFrame, paths: Sequence[Path | str]) -> None:
    """Print the table that `compare_runs` returned, and the paths of the results."""
    console.print("Test ROC-AUC for the same budget; difference: first model minus this one", style="bold")
    view = _table("model", "AUC", "95 % interval", "difference", "95 % interval")
    for row in table.fillna("").to_dict("records"):
        auc, difference = (_interval(row, name) for name in ("roc_auc", "difference"))
        view.add_row(
            Text(printable(row["model"])), shown(row["roc_auc"]), auc, shown(row["difference"]), difference
        )
    console.print(view)
    _print_paths(console, paths)


def _table(*headers: str) -> Table:
    return Table(*headers, box=None, pad_edge=False)


def _print_paths(console: Console, paths: Sequence[Path | str]) -> None:
    """Print one path per line, unwrapped so that it can be copied."""
    for path in paths:
        console.print(Text(printable(f"  {path}")), soft_wrap=True)


def _interval(row: Mapping[Any, Any], name: str) -> str:
    """The interval as text; a dash if undefined."""
    low, high = (shown(row[f"{name}_{end}"]) for end in ("low", "high"))
    return low if low == high == NOTHING else f"{low} to {high}"


def shown(value: Any, digits: int = 3) -> str:
    """Return a number with `digits` decimals; a dash if undefined."""
    return NOTHING if value in (None, "") else f"{float(value):.{digits}f}"
