"""Groups of the final test, by the columns of manifest.csv."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from helpers.global_config import Config
from preprocessing.feed.prepared_data import PreparedData
from preprocessing.load_and_create_dataset import prepare
from tasks.final_test import groups_of_splits


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> PreparedData:
    """Prepared images of two devices, with a diagnosis for each class."""
    folder = tmp_path_factory.mktemp("groups")
    lines = ["file,label,patient,device,histology"]
    for number in range(40):
        label, file = number % 2, f"{number}.png"
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)
        cv2.imwrite(str(folder / file), pixels)
        lines.append(f"{file},{label},P{number // 2},{'=GE' if number % 4 < 2 else 'Toshiba'},kind {label}")
    (folder / "manifest.csv").write_text("\n".join(lines))
    settings = Config(DATA_DIR=folder, PREPROCESSED_DIR=folder / "out", INPUT_SHAPE=(8, 8), NEAR_COPIES="off")
    return prepare(settings)


def groups(data: PreparedData | None, **settings: object) -> list[dict]:
    context = SimpleNamespace(own_data=data, config=Config(**settings))
    arrays = {}
    for split in ("val", "test") if data else ():
        labels = data.labels(split)
        arrays |= {f"{split}_labels": labels, f"{split}_scores": np.where(labels == 1, 0.6, 0.4)}
        arrays[f"{split}_patients"] = np.array(data.patients(split))
    return groups_of_splits(context, arrays, 0.5)


def test_each_split_has_a_row_for_all_and_for_each_group(data):
    skipped, *rows = groups(data)
    assert skipped["column"] == "histology"
    assert "fixes the class" in skipped["note"]
    of_test = [(row["column"], row["value"]) for row in rows if row["split"] == "test"]
    assert of_test == [("", "all"), ("device", "=GE"), ("device", "Toshiba")]
    for split in ("val", "test"):
        every, *each = [row for row in rows if row["split"] == split]
        assert every["num_examples"] == len(data.labels(split)) == sum(row["num_examples"] for row in each)
    assert {row["accuracy"] for row in rows} == {1.0}


def test_columns_of_sites_stay_there_and_without_columns_there_are_no_groups(data, tmp_path):
    assert groups(data, DATA_AT="sites", CLASS_NAMES=("a", "b")) == []
    assert groups(None) == []
    plain = PreparedData(tmp_path, {"files": [{"file": "a", "label": 0}]}, "")
    assert groups_of_splits(SimpleNamespace(own_data=plain, config=Config()), {}, 0.5) == []
