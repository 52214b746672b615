"""Tables: CSV keeps every digit."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.run_records.tables import (
    confusion_table,
    read_table,
    to_csv,
    trim_table,
    write_rows,
)


def test_the_confusion_table_has_a_row_per_true_class_and_a_column_per_prediction() -> None:
    text = to_csv(confusion_table(np.array([[3, 1], [0, 5]]), ["normal", "normal, benign"])).decode()
    assert text == 'true,normal,"normal, benign"\nnormal,3,1\n"normal, benign",0,5\n'


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_floats_come_back_exactly(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    rows = [{"round": 1, "value": value} for value in values]
    write_rows(path, ["round", "value"], 1, rows)
    assert [float(text) for text in read_table(path, [])["value"]] == values


def test_trimming_keeps_every_digit(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for round_number in (1, 2, 3):
        write_rows(path, ["round", "value"], round_number, [{"round": round_number, "value": 0.1 * 3}])
    lines = path.read_text().splitlines()
    trim_table(path, ["round", "value"], 2)
    assert path.read_text().splitlines() == lines[:3]
    assert to_csv(read_table(path, [])).decode().splitlines() == lines[:3]
