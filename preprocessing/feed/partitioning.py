"""Partition of the training rows among clients: a function of data, settings and number of clients."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

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


@lru_cache(maxsize=8)  # a round needs its partition several times
def partition(data: PreparedData, config: Config, num_clients: int) -> tuple[Rows, ...]:
    """Divide the training rows among clients by PARTITION.

    Args:
        data: prepared data with the rows.
        config: uses PARTITION, SEED, DIRICHLET_ALPHA, SITE_COLUMN.
        num_clients: number of clients; see `count_clients`.

    Returns:
        One read-only int64 array of ascending row numbers per client, none empty; every row is in exactly
        one.

    Raises:
        PreprocessingError: too many clients, or the data lack what PARTITION needs.
    """
    shares = _divide(data, config, num_clients)
    for rows in shares:
        rows.flags.writeable = False  # every caller shares them
    return tuple(shares)


def _divide(data: PreparedData, config: Config, num_clients: int) -> list[Rows]:
    kind, labels = resolve_partition(data, config), data.labels("train")
    most = most_clients(data, config)
    if not 1 <= num_clients <= most:
        what = {"patient": "patient", "site": "site"}.get(kind, "training image")
        raise PreprocessingError(
            f"NUM_CLIENTS (or num_workers, where it is 0): received {num_clients} for "
            f"{counted(most, what)}{'' if what == 'training image' else ' in training'}; every client needs "
            "at least one: use fewer clients or another PARTITION, or add images"
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
    """Return PARTITION, with `auto` replaced by `patient` or `iid`.

    Raises:
        PreprocessingError: `patient`, but patients are unknown.
    """
    if config.PARTITION == "patient" and not data.has_patients:
        raise PreprocessingError(
            "PARTITION: received patient, but the patients of the images are unknown; add a column "
            "patient to manifest.csv and prepare the images again, or set another PARTITION"
        )
    if config.PARTITION == "auto":
        return "patient" if data.has_patients else "iid"
    return config.PARTITION


def most_clients(data: PreparedData, config: Config) -> int:
    """Return the largest number of clients that leaves none empty.

    Raises:
        PreprocessingError: as in `partition`.
    """
    match resolve_partition(data, config):
        case "patient":
            return len(set(data.groups("train")))
        case "site":
            return len(set(sites_of_rows(data, config)))
        case _:
            return len(data.labels("train"))


def count_clients(data: PreparedData, config: Config) -> int | None:
    """Return the number of clients, checked against the data; None if it follows the live workers.

    Raises:
        PreprocessingError: too many for the data, or NUM_CLIENTS is not the number of sites.
        ConfigError: an id of CLIENTS does not exist.
    """
    if config.num_workers == "auto":
        most_clients(data, config)  # raises if the data lack what PARTITION needs
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
    """Return the site of each training row, from SITE_COLUMN.

    Raises:
        PreprocessingError: no such column, or it is empty for some images.
    """
    sites = data.column("train", config.SITE_COLUMN)
    missing = sum(not site for site in sites)
    if missing:
        raise PreprocessingError(
            f"SITE_COLUMN: column {config.SITE_COLUMN} of manifest.csv is empty for "
            f"{counted(missing, 'training image')}; fill it in and prepare the images again"
        )
    return sites


def count_classes(data: PreparedData, config: Config, rows: np.ndarray | slice) -> NDArray[np.int64]:
    """Return the number of training images of each class in rows, int64 (k,)."""
    return np.bincount(data.labels("train")[rows], minlength=len(config.class_names))


def counts_of_all_clients(data: PreparedData, config: Config) -> NDArray[np.int64]:
    """Return the number of training images of each class of all clients that may take part, int64 (k,)."""
    if not config.CLIENTS:
        return count_classes(data, config, slice(None))
    shares = partition(data, config, count_clients(data, config) or 0)
    return count_classes(data, config, np.concatenate([shares[client] for client in config.CLIENTS]))


def weights_of_classes(data: PreparedData, config: Config, rows: np.ndarray) -> dict[int, float]:
    """Return the weight of each class in a client's loss, by CLASS_WEIGHT; `rows` are the client's."""
    return class_weight(config.CLASS_WEIGHT, data.labels("train"), rows, len(config.class_names)) or {}


def class_weight(
    kind: str, labels: np.ndarray, rows: np.ndarray, num_classes: int
) -> dict[int, float] | None:
    """Return the weight of each class in a client's loss, inverse to the frequency of the class.

    As scikit-learn's `balanced`: N / (classes present · N_class), with a mean of 1 over the images.

    Args:
        kind: `none`, `balanced` (by the client's labels) or `balanced_global` (by all labels).
        labels: int32 (N,), of all training rows.
        rows: the client's rows.
        num_classes: 2 or more.

    Returns:
        {0: weight, 1: weight, …}; None for `none`. A class without images has weight 1.
    """
    if kind == "none":
        return None
    counted_labels = labels if kind == "balanced_global" else labels[rows]
    counts = np.bincount(counted_labels, minlength=num_classes)
    share = len(counted_labels) / np.count_nonzero(counts)
    return {label: float(share / count) if count else 1.0 for label, count in enumerate(counts)}
