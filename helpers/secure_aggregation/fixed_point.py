"""Fixed-point numbers modulo 2³²: changes of weights whose sum over the sites is exact, in any order."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from helpers.federated.aggregation import chunks
from helpers.federated.weights import Schema, SchemaError, Weights

Residues = list[NDArray[np.uint32]]
"""Arrays in model order, modulo 2³²."""
FRACTION_BITS = {True: 26, False: 19}
"""Binary digits after the point of a site's share in the mean, for arrays that gradients change and others,
such as moving statistics: steps of 1.5e-8 and 1.9e-6."""


def largest_change(is_trained: bool) -> float:
    """Return the largest change of a number that can be sent: 31 where gradients change it, else 4095.

    It leaves room for the rounding errors of all sites: the mean is below 32, or 4096.
    """
    return float(2 ** (31 - FRACTION_BITS[is_trained]) - 1)


def encode_change(
    schema: Schema, local: Weights, start: Weights, is_trained: Sequence[bool], weight: int, total: int
) -> Residues:
    """Return a site's share in the mean change, round(2ᶠ · n_k / N · (w_k − w)) modulo 2³².

    Args:
        schema: of the model.
        local: w_k, the site's weights; they fit `schema`.
        start: w, the weights that the round began with.
        is_trained: for each array, whether gradients change it; it decides f.
        weight: n_k > 0, the site's weight in the mean.
        total: N, at least the sum of the weights of all sites.

    Raises:
        SchemaError: a number changed by more than can be sent, or is not finite.
        ValueError: the weight is not in 1…N.
    """
    if not 0 < weight <= total:
        raise ValueError(f"the weight {weight} is not in 1…{total}")
    residues = []
    for spec, new, old, trained in zip(schema, local, start, is_trained, strict=True):
        flat_new, flat_old = new.reshape(-1), old.reshape(-1)
        fixed = np.empty(new.size, np.int32)
        for part in chunks(new.size):
            change = np.subtract(flat_new[part], flat_old[part], dtype=np.float64)
            extent = np.abs(change).max()
            if not extent <= largest_change(trained):  # NaN is not
                remedy = "lower BASE_LR or set MAX_UPDATE_NORM" if trained else "set BATCH_NORM=frozen"
                raise SchemaError(
                    f"{spec.name}: a number changed by {extent:.3g}, secure aggregation carries changes of "
                    f"at most {largest_change(trained):g}; {remedy}"
                )
            fixed[part] = np.rint(change * (2.0 ** FRACTION_BITS[trained] * weight / total))
        residues.append(fixed.view(np.uint32).reshape(new.shape))
    return residues


def add_residues(sums: Residues, residues: Residues) -> None:
    """Add to the sums, modulo 2³²."""
    for array, other in zip(sums, residues, strict=True):
        np.add(array, other, out=array)


def decode_mean(
    schema: Schema, sums: Residues, start: Weights, is_trained: Sequence[bool], weight: int, total: int
) -> Weights:
    """Return the mean of the sites' weights, w + N / n · (their sum / 2ᶠ), rounded once.

    It differs from the mean of the unrounded weights by at most m/2 · N/n steps of 2⁻ᶠ with m sites.

    Args:
        schema: of the model.
        sums: of `encode_change` over the sites.
        start, is_trained, total: as for `encode_change`.
        weight: n > 0, sum of the weights of these sites.

    Raises:
        SchemaError: the sum cannot be that of sites' changes: a mask was not removed.
    """
    weights: Weights = []
    for spec, array, old, trained in zip(schema, sums, start, is_trained, strict=True):
        flat, flat_old = array.reshape(-1).view(np.int32), old.reshape(-1)
        mean = np.empty(array.size, old.dtype)
        for part in chunks(array.size):
            share = flat[part] / 2.0 ** FRACTION_BITS[trained]
            if np.abs(share).max() > largest_change(trained) + 0.5:
                raise SchemaError(f"{spec.name}: the sum of the sites is out of range: masks do not cancel")
            mean[part] = np.add(flat_old[part], share * (total / weight))
        weights.append(mean.reshape(array.shape))
    return weights
