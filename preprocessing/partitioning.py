"""Which training rows each client owns."""

import numpy as np

from preprocessing.errors import PreprocessingError


def partition_rows(labels: np.ndarray, num_clients: int, seed: int) -> list[np.ndarray]:
    """Divide the training rows among clients by lot (IID), as evenly as possible.

    Args:
        labels: int32 (N,), labels of the training rows.
        num_clients: 1 to N.
        seed: the same seed gives the same division.

    Returns:
        one int64 array of row numbers per client, ascending; every row is in exactly one of them
        and their lengths differ by at most one.

    Raises:
        PreprocessingError: more clients than rows, or none.
    """
    if not 1 <= num_clients <= len(labels):
        raise PreprocessingError(
            f"num_workers: received {num_clients} for {len(labels)} training images; "
            "every client needs at least one, so use fewer workers or add images"
        )
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    return [np.sort(rows) for rows in np.array_split(shuffled, num_clients)]


def class_weight(kind: str, labels: np.ndarray, rows: np.ndarray) -> dict[int, float] | None:
    """What an image of either class counts in a client's loss: inverse to how frequent the class is.

    As scikit-learn's `balanced`: N / (classes present · N_class), so that their mean over the images is 1.

    Args:
        kind: `none`, `balanced` (by the client's own labels) or `balanced_global` (by all).
        labels: int32 (N,), of all training rows.
        rows: the client's.

    Returns:
        {0: weight, 1: weight}; None for `none`. A class without an image has weight 1.
    """
    if kind == "none":
        return None
    counted = labels if kind == "balanced_global" else labels[rows]
    counts = np.bincount(counted, minlength=2)
    share = len(counted) / np.count_nonzero(counts)
    return {label: float(share / count) if count else 1.0 for label, count in enumerate(counts)}
