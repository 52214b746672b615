"""The partition that the settings ask for, the number of clients, class weights."""

from pathlib import Path

import numpy as np
import pytest

from helpers.global_config import Config
from helpers.settings.errors import ConfigError
from preprocessing.errors import PreprocessingError
from preprocessing.feed.partitioning import (
    class_weight,
    count_clients,
    counts_of_all_clients,
    most_clients,
    partition,
    resolve_partition,
)
from preprocessing.feed.partitions import (
    dirichlet_partition,
    iid_partition,
    patient_partition,
    quantity_partition,
    site_partition,
)
from preprocessing.feed.prepared_data import PreparedData


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


class Data(PreparedData):
    """Prepared data with only a manifest."""

    def labels(self, split: str) -> np.ndarray:
        return np.array([entry["label"] for entry in self._entries(split)], np.int32)


def data_of(patients: str = "", sites: str = "", groups: list[int] | None = None, num_rows: int = 8) -> Data:
    """Return a row for each letter, the name of its patient or site; a dash means unknown."""
    num_rows = len(patients or sites) or num_rows
    files = []
    for row in range(num_rows):
        entry = {"file": f"{row % 2}/{row}.png", "label": row % 2, "split": "train", "row": row}
        entry["patient"] = patients[row] if patients else None
        entry["group"] = groups[row] if groups else ord(patients[row]) if patients else row
        if sites:
            entry["columns"] = {"device": sites[row].replace("-", ""), "side": "left"}
        files.append(entry)
    held_out = {"file": "1/z.png", "label": 1, "split": "test", "row": 0, "patient": "z", "group": 99}
    return Data(Path("out"), {"files": [*files[::-1], held_out]}, "")


def test_auto_keeps_patients_together_where_they_are_known():
    known, unknown = data_of("aabbccdd"), data_of()
    assert resolve_partition(known, Config()) == "patient"
    assert resolve_partition(unknown, Config()) == "iid"
    assert same(partition(known, Config(), 3), patient_partition(list("aabbccdd"), 3, Config.SEED))
    assert same(partition(unknown, Config(), 3), iid_partition(8, 3, Config.SEED))
    assert same(partition(known, Config(PARTITION="iid"), 3), iid_partition(8, 3, Config.SEED))


def test_copies_stay_with_their_patients():
    groups = [0, 0, 1, 1, 0, 0, 2, 2]  # the third patient's images are copies of the first's
    data = data_of("aabbccdd", groups=groups)
    assert [sorted({groups[row] for row in part}) for part in partition(data, Config(), 3)] == [[0], [2], [1]]
    assert most_clients(data, Config()) == 3


def test_every_setting_of_the_partition_is_used():
    data = data_of(sites="abababcc" * 5)
    labels = data.labels("train")
    uneven = partition(data, Config(PARTITION="quantity"), 4)
    assert same(uneven, quantity_partition(40, 4, 42))
    by_class = partition(data, Config(PARTITION="dirichlet", DIRICHLET_ALPHA=0.2, SEED=3), 4)
    assert same(by_class, dirichlet_partition(labels, 4, 0.2, 3))
    by_site = partition(data, Config(PARTITION="site", SITE_COLUMN="device"), 3)
    assert same(by_site, site_partition(list("abababcc" * 5)))


@pytest.mark.parametrize("num_clients", [0, 4])
@pytest.mark.parametrize("kind", ["iid", "dirichlet", "quantity"])
def test_a_client_without_rows_is_refused(num_clients, kind):
    with pytest.raises(
        PreprocessingError, match=f"NUM_CLIENTS .* received {num_clients} for 3 training images"
    ):
        partition(data_of(num_rows=3), Config(PARTITION=kind), num_clients)


def test_a_client_without_a_patient_is_refused():
    with pytest.raises(PreprocessingError, match="received 3 for 2 patients in training"):
        partition(data_of("aaabbb"), Config(), 3)


def test_patients_must_be_known_for_a_partition_by_patient():
    with pytest.raises(PreprocessingError, match="PARTITION: received patient, but the patients of"):
        partition(data_of(), Config(PARTITION="patient"), 2)


BY_DEVICE = {"PARTITION": "site", "SITE_COLUMN": "device"}


def test_a_missing_column_is_refused_with_the_existing_ones():
    with pytest.raises(
        PreprocessingError, match=r"column site of manifest\.csv: .* columns device, side; set"
    ):
        count_clients(data_of(sites="aabb"), Config(PARTITION="site"))
    with pytest.raises(PreprocessingError, match="has no such column"):
        count_clients(data_of(), Config(PARTITION="site"))


def test_an_unknown_site_is_refused():
    with pytest.raises(PreprocessingError, match=r"column device .* is empty for 1 training image;"):
        count_clients(data_of(sites="ab-b"), Config(**BY_DEVICE))


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({}, 3),
        ({"NUM_CLIENTS": 4}, 4),
        ({"num_workers": "auto"}, None),
        (BY_DEVICE, 2),
        ({**BY_DEVICE, "NUM_CLIENTS": 2}, 2),
    ],
)
def test_the_number_of_clients(changes, number):
    assert count_clients(data_of(sites="aabbaabb"), Config(**changes)) == number


def test_the_number_of_clients_must_be_that_of_the_sites():
    with pytest.raises(
        PreprocessingError, match=r"NUM_CLIENTS: received 3, .* 2 values in training \(a, b\)"
    ):
        count_clients(data_of(sites="aabbaabb"), Config(**BY_DEVICE, NUM_CLIENTS=3))
    with pytest.raises(ConfigError, match=r"CLIENTS: received \(2,\), the number of clients is 2"):
        count_clients(data_of(sites="aabbaabb"), Config(**BY_DEVICE, CLIENTS=(2,)))


def test_too_many_clients_are_refused_before_a_training():
    with pytest.raises(PreprocessingError, match="received 9 for 8 training images"):
        count_clients(data_of(), Config(NUM_CLIENTS=9))


def test_class_weights_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 0, 0, 0])
    rows = np.array([0, 1, 2, 3])
    assert class_weight("none", labels, rows, 2) is None
    assert class_weight("balanced", labels, rows, 2) == {0: 4 / 6, 1: 2.0}
    assert class_weight("balanced_global", labels, rows, 2) == {0: 8 / 12, 1: 2.0}
    assert class_weight("balanced", labels, np.array([0, 1]), 2) == {0: 1.0, 1: 1.0}


def test_class_weights_of_three_classes_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 2, 0, 0])
    rows = np.array([0, 1, 2, 3])
    assert class_weight("balanced_global", labels, rows, 3) == {0: 8 / 15, 1: 8 / 6, 2: 8 / 3}
    assert class_weight("balanced", labels, rows, 3) == {0: 4 / 6, 1: 2.0, 2: 1.0}


def test_a_partition_is_computed_once_for_the_same_data_and_settings():
    data = data_of(num_rows=40)
    config = Config(PARTITION="iid")
    shares = partition(data, config, 3)
    again = partition(data, Config(PARTITION="iid"), 3)
    assert all(rows is other for rows, other in zip(shares, again, strict=True))
    assert not any(rows.flags.writeable for rows in shares)
    for other in (
        partition(data, config.model_copy(update={"SEED": config.SEED + 1}), 3),
        partition(data_of(num_rows=40), config, 3),
    ):
        assert other[0] is not shares[0]
    assert len(partition(data, config, 4)) == 4


def test_the_classes_of_all_clients_are_those_of_clients_that_may_take_part() -> None:
    data = data_of(sites="aabbbc")  # labels 0, 1, 0, 1, 0, 1
    by_site = {"PARTITION": "site", "SITE_COLUMN": "device"}
    for clients, expected in (((), [3, 3]), ((1,), [2, 1]), ((2, 0), [1, 2])):
        assert counts_of_all_clients(data, Config(CLIENTS=clients, **by_site)).tolist() == expected
    assert counts_of_all_clients(data, Config(num_workers="auto")).tolist() == [3, 3]
