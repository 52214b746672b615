"""Model weights as named arrays, and the schema two parties must agree on."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = list[NDArray[np.generic]]
"""Arrays in Keras `get_weights()` order."""


class SchemaError(ValueError):
    """Weights do not have the names, shapes or dtypes that were agreed on."""


@dataclass(frozen=True)
class ArraySpec:
    """What one array must be: its name, NumPy dtype name and shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


Schema = tuple[ArraySpec, ...]


def schema_of(names: Sequence[str], weights: Sequence[NDArray[np.generic]]) -> Schema:
    """Describe `weights`: one ArraySpec each, in their order."""
    return tuple(
        ArraySpec(name, _dtype_name(array.dtype), tuple(array.shape))
        for name, array in zip(names, weights, strict=True)
    )


_dtype_name = functools.cache(str)  # NumPy builds the name again each time


def num_bytes(schema: Schema) -> int:
    """Bytes of all arrays of a schema, without any envelope."""
    return sum(spec.num_bytes for spec in schema)


def norm(weights: Weights) -> float:
    """Return the Euclidean norm of all arrays together, in float64."""
    flat: list[Any] = [array.reshape(-1) for array in weights]
    return math.sqrt(sum(float(np.einsum("i,i->", array, array, dtype=np.float64)) for array in flat))


def check_alike(updates: Sequence[Weights]) -> None:
    """Refuse updates that cannot be combined.

    Raises:
        ValueError: they differ in number or shape of their arrays.
    """
    shapes = [[array.shape for array in weights] for weights in updates]
    if any(each != shapes[0] for each in shapes):
        raise ValueError("updates differ in number or shape of their arrays")


def check_weights(weights: Sequence[NDArray[np.generic]], schema: Schema) -> None:
    """Refuse weights that do not fit a schema or are not finite.

    Raises:
        SchemaError: naming the array and what differs.
    """
    if len(weights) != len(schema):
        raise SchemaError(f"{len(weights)} arrays received, the model has {len(schema)}")
    for array, spec in zip(weights, schema, strict=True):
        if str(array.dtype) != spec.dtype or tuple(array.shape) != spec.shape:
            raise SchemaError(
                f"{spec.name}: received {array.dtype}{tuple(array.shape)}, expected {spec.dtype}{spec.shape}"
            )
        # NaN and infinity both show in the extremes, which need no mask of the array's size.
        if array.size and not np.isfinite([array.min(), array.max()]).all():
            raise SchemaError(f"{spec.name}: NaN or infinite values")
