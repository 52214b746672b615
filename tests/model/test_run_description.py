"""What run.json says of the data, from the manifest to the report."""

from types import SimpleNamespace

import cv2
import numpy as np

from helpers.global_config import Config
from preprocessing.load_and_create_dataset import prepare
from tasks.run_task import _description


def test_run_json_says_how_the_images_were_split(tmp_path):
    for label in (0, 1):
        (tmp_path / str(label)).mkdir()
        for number in range(20):
            pixels = np.random.default_rng([label, number]).integers(0, 256, (16, 16), np.uint8)
            (tmp_path / f"{label}/{number}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    config = Config(DATA_DIR=tmp_path, PREPROCESSED_DIR=tmp_path / "out", INPUT_SHAPE=(16, 16), SEED=7)
    order = SimpleNamespace(run="r", settings={}, data_digest="", versions={})
    context = SimpleNamespace(order=order, config=config, data=prepare(config, allow=["leaks"]))
    assert _description(context, {"python": "3"})["environment"] == {"python": "3"}
    data = _description(context, {})["data"]
    assert (data["split_by"], data["grouped_by"], data["allowed"]) == ("drawn", "copy", ["leaks"])
    assert data["settings"] == {
        "INPUT_SHAPE": [16, 16], "INPUT_DIM": 3, "SEED": 7, "TEST_FRACTION": 0.3, "VALIDATION_FRACTION": 0.1,
    }  # fmt: skip
    del context.data.manifest["split_by"]  # as a manifest of an earlier version
    assert _description(context, {})["data"]["split_by"] is None
