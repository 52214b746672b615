"""Tables: CSV keeps every digit."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.federated.replies import ClientReply
from helpers.run_records.tables import (
    confusion_table,
    read_table,
    round_row,
    to_csv,
    write_table,
)


def test_the_confusion_table_has_a_row_per_true_class_and_a_column_per_prediction() -> None:
    text = to_csv(confusion_table(np.array([[3, 1], [0, 5]]), ["normal", "normal, benign"])).decode()
    assert text == 'true,normal,"normal, benign"\nnormal,3,1\n"normal, benign",0,5\n'


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_floats_come_back_exactly(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    rows = [{"round": 1, "value": value} for value in values]
    write_table(path, ["round", "value"], rows)
    assert [float(text) for text in read_table(path, [])["value"]] == values


def test_a_spreadsheet_executes_nothing_and_reading_gives_the_text_back(tmp_path: Path) -> None:
    path, columns = tmp_path / "t.csv", ["round", "file", "val_loss", "error"]
    texts = ["=HYPERLINK(A1)", "-1+1", "plain", "'=quoted"]
    rows = [{"round": 1, "file": text, "val_loss": -0.5, "error": "@x"} for text in texts]
    write_table(path, columns, rows)
    assert path.read_text().splitlines()[1:] == [
        "1,'=HYPERLINK(A1),-0.5,'@x",
        "1,'-1+1,-0.5,'@x",
        "1,plain,-0.5,'@x",
        "1,''=quoted,-0.5,'@x",
    ]
    assert read_table(path, columns)["file"].tolist() == texts


def test_classes_called_by_a_formula_are_text_in_the_confusion_table() -> None:
    text = to_csv(confusion_table(np.array([[3, 1], [0, 5]]), ["=a", "b"])).decode()
    assert text == "true,'=a,b\n'=a,3,1\nb,0,5\n"


def test_the_training_loss_of_a_round_is_the_mean_over_its_images_and_empty_in_a_private_run() -> None:
    replies = [
        ClientReply(1, 0, 0, "w", "ok", num_examples=3, train_loss=0.5),
        ClientReply(1, 1, 0, "w", "ok", num_examples=1, train_loss=0.1),
    ]
    assert round_row(1, replies, 1.0, 0.0)["train_loss"] == pytest.approx(0.4)
    private = [ClientReply(1, 0, 0, "w", "ok", num_examples=3)]
    assert round_row(1, private, 1.0, 0.0)["train_loss"] is None
    assert round_row(1, [ClientReply(1, 0, 0, "w", "failed")], 1.0, 0.0)["train_loss"] is None
