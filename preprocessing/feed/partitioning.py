"""Which training rows each client owns: a function of data, settings and the number of clients."""

import numpy as np

from helpers.global_config import Config
from preprocessing.errors import PreprocessingError, counted
from preprocessing.feed.partitions import (
    Rows,
    dirichlet_partition,
    iid_partition,
    patient_partition,
    quantity_partition,
    site_partition,
)
from preprocessing.feed.prepared_data import PreparedData


def partition(data: PreparedData, config: Config, num_clients: int) -> list[Rows]:
    """Divide the training rows among clients as PARTITION says.

    Args:
        data: whose rows are divided.
        config: uses PARTITION, SEED, DIRICHLET_ALPHA, SITE_COLUMN.
        num_clients: how many; see `count_clients`.

    Returns:
        one int64 array of row numbers per client, ascending, none empty; every row is in exactly one.

    Raises:
        PreprocessingError: more clients than there can be, or PARTITION needs what the data do not tell.
    """
    kind, labels = resolve_partition(data, config), data.labels("train")
    most = most_clients(data, config)
    if not 1 <= num_clients <= most:
        what = {"patient": "patient", "site": "site"}.get(kind, "training image")
        raise PreprocessingError(
            f"NUM_CLIENTS (or num_workers, where it is 0): received {num_clients} for "
            f"{counted(most, what)}{'' if what == 'training image' else ' in training'}; every client needs "
            "at least one, so use fewer clients or another PARTITION, or add images"
        )
    match kind:
        case "dirichlet":
            return dirichlet_partition(labels, num_clients, config.DIRICHLET_ALPHA, config.SEED)
        case "quantity":
            return quantity_partition(len(labels), num_clients, config.SEED)
        case "patient":
            return patient_partition(data.groups("train"), num_clients, config.SEED)
        case "site":
            return site_partition(sites_of_rows(data, config))
        case _:
            return iid_partition(len(labels), num_clients, config.SEED)


def resolve_partition(data: PreparedData, config: Config) -> str:
    """PARTITION, with `auto` replaced by what it stands for here.

    Raises:
        PreprocessingError: `patient`, where patients are not known.
    """
    if config.PARTITION == "patient" and not data.has_patients:
        raise PreprocessingError(
            "PARTITION: received patient, but it is not known which patient an image shows; add a column "
            "patient to manifest.csv and prepare the images again, or set another PARTITION"
        )
    if config.PARTITION == "auto":
        return "patient" if data.has_patients else "iid"
    return config.PARTITION


def most_clients(data: PreparedData, config: Config) -> int:
    """The largest number of clients of which none is empty.

    Raises:
        PreprocessingError: as `partition`.
    """
    match resolve_partition(data, config):
        case "patient":
            return len(set(data.groups("train")))
        case "site":
            return len(set(sites_of_rows(data, config)))
        case _:
            return len(data.labels("train"))


def count_clients(data: PreparedData, config: Config) -> int | None:
    """How many clients there are, checked against the data; None where that depends on the live workers.

    Raises:
        PreprocessingError: too many for the data, or NUM_CLIENTS is not the number of sites.
        ConfigError: CLIENTS names one that does not exist.
    """
    if config.num_workers == "auto":
        most_clients(data, config)  # whether the data have what PARTITION needs
        return None
    number = config.num_clients
    if config.PARTITION == "site":
        sites = sorted(set(sites_of_rows(data, config)))
        if number not in (None, len(sites)):
            raise PreprocessingError(
                f"NUM_CLIENTS: received {number}, but with PARTITION=site every site is a client and column "
                f"{config.SITE_COLUMN} has {counted(len(sites), 'value')} in training ({', '.join(sites)}); "
                f"set it to {len(sites)}, or to 0"
            )
        number = len(sites)
    assert number is not None  # by elimination
    config.clients_of(number)
    partition(data, config, number)
    return number


def sites_of_rows(data: PreparedData, config: Config) -> list[str]:
    """The site of each training row, by SITE_COLUMN.

    Raises:
        PreprocessingError: there is no such column, or it says nothing about some images.
    """
    sites = data.column("train", config.SITE_COLUMN)
    missing = sum(not site for site in sites)
    if missing:
        raise PreprocessingError(
            f"SITE_COLUMN: column {config.SITE_COLUMN} of manifest.csv is empty for "
            f"{counted(missing, 'training image')}; fill it in and prepare the images again"
        )
    return sites


def class_weight(
    kind: str, labels: np.ndarray, rows: np.ndarray, num_classes: int
) -> dict[int, float] | None:
    """What an image of each class counts in a client's loss: inverse to how frequent the class is.

    As scikit-learn's `balanced`: N / (classes present · N_class), so that their mean over the images is 1.

    Args:
        kind: `none`, `balanced` (by the client's own labels) or `balanced_global` (by all).
        labels: int32 (N,), of all training rows.
        rows: the client's.
        num_classes: 2 or more.

    Returns:
        {0: weight, 1: weight, …}; None for `none`. A class without an image has weight 1.
    """
    if kind == "none":
        return None
    counted_labels = labels if kind == "balanced_global" else labels[rows]
    counts = np.bincount(counted_labels, minlength=num_classes)
    share = len(counted_labels) / np.count_nonzero(counts)
    return {label: float(share / count) if count else 1.0 for label, count in enumerate(counts)}
