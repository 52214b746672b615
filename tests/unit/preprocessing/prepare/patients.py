"""Prepared noise images of patients, for tests."""

from pathlib import Path

import numpy as np

from preprocessing.feed.prepared_data import PreparedData
from preprocessing.prepare.dataset_writer import Example, write_dataset
from preprocessing.prepare.sources.records import ImageRecord

PATIENTS = 30


def prepared(folder: Path) -> PreparedData:
    """Write two images of each patient, one class each: 18 patients train, 6 validate, 6 test.

    Columns: `device` A to C in turn, `fold` 1 to 3, `side`, which differs within a patient, and `only`.
    """
    scratch = folder / "scratch"
    scratch.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (2 * PATIENTS, 4, 4, 3), np.uint8)
    np.save(scratch / "all.npy", images)
    examples = []
    for row in range(2 * PATIENTS):
        patient = row // 2
        columns = {
            "device": "ABC"[patient // 2 % 3],
            "fold": str(1 + patient // 2 % 3),
            "side": "LR"[row % 2],
            "only": "one",
        }
        record = ImageRecord(f"{row}.png", patient % 2, patient=f"p{patient}", columns=columns)
        examples.append(Example(record, row, f"{row:064x}", patient))
    splits = {"train": np.arange(36), "val": np.arange(36, 48), "test": np.arange(48, 60)}
    settings = {"INPUT_SHAPE": [4, 4], "SEED": 42, "TEST_FRACTION": 0.3, "VALIDATION_FRACTION": 0.1}
    facts = {"source": "noise", "data_dir": "", "settings": settings, "left_out": []}
    write_dataset(folder, scratch, scratch / "all.npy", splits, examples, [], facts)
    return PreparedData.open(folder)
