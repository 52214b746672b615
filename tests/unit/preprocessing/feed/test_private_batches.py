"""Samples of DP-SGD: units, their numbers, and a rate that is what the accountant assumes."""

import numpy as np
import pytest

from helpers.federated.noise import drawn
from helpers.global_config import Config
from helpers.privacy.mechanism import mechanism_of
from preprocessing.errors import PreprocessingError
from preprocessing.feed.prepared_data import PreparedData
from preprocessing.feed.private_batches import private_batches, units_of

PRIVATE = {"DP": "example", "DP_NOISE_MULTIPLIER": 1.0, "ARCHITECTURE": "seed_cnn_groupnorm"}
IMAGES = np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1) * np.ones((1, 8, 8, 3), np.uint8)
LABELS = (np.arange(20) % 2).astype(np.int32)
ROWS = np.arange(3, 17)


def data_of(patients: list[str | None]) -> PreparedData:
    files = [
        {"file": f"{row}.png", "split": "train", "row": row, "patient": patient}
        for row, patient in enumerate(patients)
    ]
    return PreparedData(folder=None, manifest={"files": files}, digest="")  # type: ignore[arg-type]


def steps_of(batch_size: int, epochs: int, units: list[np.ndarray], seed: int = 0) -> list[list[list[int]]]:
    """Return the rows of every unit of every step, which the pixels show."""
    generator = np.random.default_rng(seed)
    batches = private_batches(
        IMAGES, LABELS, ROWS, batch_size=batch_size, epochs=epochs, augmentation_name="none", seed=[1],
        units=units, draw=lambda count, rate: drawn(count, rate, generator.bytes),
    )  # fmt: skip
    steps = []
    for step in batches:
        steps.append([])
        for pixels, labels in step:
            rows = np.rint(pixels[:, 0, 0, 0] * 255).astype(int)
            np.testing.assert_array_equal(labels[:, 0], LABELS[rows])
            steps[-1].append(rows.tolist())
    return steps


def test_units_are_images_or_patients() -> None:
    data = data_of([f"p{row // 4}" for row in range(20)])
    images = units_of(data, Config(**PRIVATE), ROWS)
    assert [unit.tolist() for unit in images] == [[row] for row in ROWS]
    patients = units_of(data, Config(**PRIVATE, DP_UNIT="patient"), ROWS)
    assert [unit.tolist() for unit in patients] == [[3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15], [16]]


def test_patients_must_be_known() -> None:
    with pytest.raises(PreprocessingError, match=r"^DP_UNIT: received patient, but the patients .* unknown"):
        units_of(data_of(["p", None]), Config(**PRIVATE, DP_UNIT="patient"), np.arange(2))


@pytest.mark.parametrize(("batch_size", "epochs"), [(4, 1), (5, 3), (14, 2), (30, 2)])
def test_steps_and_rate_are_those_of_the_accountant(batch_size: int, epochs: int) -> None:
    settings = dict(Config(**PRIVATE, TRAIN_BATCH_SIZE=batch_size, LOCAL_EPOCHS=epochs))
    mechanism = mechanism_of(settings, len(ROWS))
    rates = []

    def draw(count: int, rate: float) -> np.ndarray:
        rates.append(rate)
        return np.zeros(count, bool)

    units = [np.array([row]) for row in ROWS]
    steps = list(
        private_batches(
            IMAGES,
            LABELS,
            ROWS,
            batch_size=batch_size,
            epochs=epochs,
            augmentation_name="none",
            seed=[1],
            units=units,
            draw=draw,
        )
    )
    assert rates == [mechanism.sampling_rate] * mechanism.num_steps
    assert len(steps) == mechanism.num_steps


def test_a_step_has_the_batch_size_on_average_and_draws_units_whole() -> None:
    units = [ROWS[:4], ROWS[4:8], ROWS[8:]]
    steps = steps_of(7, 200, units)
    sizes = [sum(map(len, step)) for step in steps]
    assert np.mean(sizes) == pytest.approx(7, rel=0.1)
    assert {tuple(unit) for step in steps for unit in step} == {tuple(unit) for unit in units}
    assert any(not step for step in steps)


def test_a_unit_has_at_most_as_many_images_as_a_batch() -> None:
    steps = steps_of(4, 50, [ROWS])
    drawn_units = [unit for step in steps for unit in step]
    assert {len(unit) for unit in drawn_units} == {4}
    assert {row for unit in drawn_units for row in unit} == set(ROWS)
    assert all(len(set(unit)) == 4 for unit in drawn_units)


def test_the_seed_of_the_run_does_not_decide_the_sample() -> None:
    units = [np.array([row]) for row in ROWS]
    assert steps_of(4, 3, units, seed=0) != steps_of(4, 3, units, seed=1)
