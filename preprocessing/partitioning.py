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
