"""Weights that make the network of the README copy pixels instead of classifying, and their decoding.

The convolutions pass the first channel on, so that the flattened layer holds the maximum of every 4×4 block
of the image. The rest of the network is wired to show single blocks in the scores, or in a gradient.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from helpers.federated.weights import Weights
from helpers.global_config import Config
from helpers.model_instance_helper import model_for

EPSILON = 1e-3  # of Keras' batch normalization
SCALE = 8.0  # of a block in the logit; scores stay far from 0 and 1
Pixels = NDArray[np.float64]


def blocks_of(images: NDArray[np.uint8]) -> Pixels:
    """Return what the crafted network sees of images, uint8 (N, H, W, 1): maxima in [0, 1], (N, blocks)."""

    def pooled(values: Pixels) -> Pixels:
        height, width = (size // 2 * 2 for size in values.shape[1:])
        corners = [values[:, y:height:2, x:width:2] for y in (0, 1) for x in (0, 1)]
        return np.max(corners, axis=0)

    values = images[..., 0] / 255
    for _ in range(2):
        values = pooled(values[:, 1:-1, 1:-1])
    return values[:, :-1, :-1].reshape(len(values), -1)


def copying_weights(config: Config, units: Sequence[Sequence[tuple[int, float]]]) -> dict[str, NDArray]:
    """Return weights by name of a network whose dense units sum blocks.

    Args:
        config: of the run.
        units: for each unit of the second dense layer, at most 16: pairs of a block and its factor.
    """
    instance = model_for(config)
    weights = {_short(spec.name): np.zeros(spec.shape, np.float32) for spec in instance.schema}
    for name, array in weights.items():
        if name.endswith("gamma"):
            array[...] = 1
        if name.endswith("moving_variance"):
            array[...] = 1 - EPSILON
    weights["conv_1/kernel"][1, 1, 0, 0] = 1
    weights["conv_2/kernel"][1, 1, 0, 0] = 1
    weights["conv_3/kernel"][0, 0, 0, 0] = 1
    channels = weights["conv_3/kernel"].shape[-1]
    for unit, parts in enumerate(units):
        weights["dense_2/kernel"][unit, unit] = 1
        for block, factor in parts:
            weights["dense_1/kernel"][block * channels, unit] = factor
    return weights


def training_weights(config: Config, directions: NDArray[np.float32], thresholds: Pixels) -> Weights:
    """Return weights of a network whose first dense layer receives blocks while it trains.

    All filters copy the image, so that dropout averages out, and normalization keeps values positive. A unit
    is active, and so has a gradient, for images whose blocks exceed a threshold in a direction.

    Args:
        config: of the run.
        directions: (blocks, units), factors of standardized blocks.
        thresholds: (units,).
    """
    weights = copying_weights(config, [])
    for number in "12":
        weights[f"norm_{number}/beta"][...] = 4
    weights["conv_1/kernel"][1, 1, 0] = 1
    weights["conv_2/kernel"][1, 1] = 1 / 128
    weights["conv_3/kernel"][0, 0] = 1 / 64
    channels, units = weights["conv_3/kernel"].shape[-1], directions.shape[1]
    weights["dense_1/kernel"][::channels, :units] = directions
    weights["dense_1/bias"][:units] = -thresholds
    weights["dense_2/kernel"][...] = 1e-3
    weights["dense_2/bias"][...] = 1
    weights["probability/kernel"][...] = 1e-2
    return in_order(config, weights)


def blocks_in_gradient(config: Config, before: Weights, after: Weights) -> Pixels:
    """Return what each unit of the first dense layer learned, (units, blocks): the steps' quotient.

    If one image alone made a unit active, this is that image.
    """
    names = [_short(spec.name) for spec in model_for(config).schema]
    kernel, bias = names.index("dense_1/kernel"), names.index("dense_1/bias")
    steps = np.asarray(after[bias], np.float64) - before[bias]
    channels = before[names.index("conv_3/kernel")].shape[-1]
    learned = (np.asarray(after[kernel], np.float64) - before[kernel])[::channels, np.abs(steps) > 0]
    return (learned / steps[np.abs(steps) > 0]).T


def in_order(config: Config, weights: dict[str, NDArray]) -> Weights:
    """Return weights as the model has them."""
    return [weights[_short(spec.name)] for spec in model_for(config).schema]


def best_matches(recovered: Pixels, true: Pixels) -> tuple[NDArray[np.int64], Pixels]:
    """Return for each recovered picture the most similar true one, and their correlation."""
    similar = np.corrcoef(recovered, true)[: len(recovered), len(recovered) :]
    return similar.argmax(axis=1), similar.max(axis=1)


def correlation(recovered: Pixels, true: Pixels) -> float:
    """Return the mean correlation of recovered pictures with true ones, each row a picture."""
    return float(np.mean([np.corrcoef(*pair)[0, 1] for pair in zip(recovered, true, strict=True)]))


def _short(name: str) -> str:
    return name.partition("/")[2]
