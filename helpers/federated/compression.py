"""Compression of client updates: their change of the weights in fewer bytes.

Only float32 arrays of two or more dimensions are compressed. The others, biases and batch normalization, are
few
bytes and are sent unchanged: a moving variance arrives bit for bit and cannot become negative.

`float16`  the change, local − global, in half precision.
`int8`     the change in 255 levels per array, with error feedback: what rounding loses in one round is added
    to
           the change of the next (Seide et al. 2014, "1-Bit Stochastic Gradient Descent"; Karimireddy et al.
           2019, "Error Feedback Fixes SignSGD", Algorithm 2: p = Δ + e, send C(p), keep e = p − C(p)).

Quantized updates are those of Konečný et al. 2016, "Federated Learning: Strategies for Improving
Communication Efficiency", and Alistarh et al. 2017, "QSGD". These papers round at random, which needs no
state. Rounding to the nearest level gives the same bits every time, and error feedback removes its bias.

The state of an `int8` client is also stored in 255 levels per array. What that rounding loses, at most 1/508
of a
level per round, is dropped: after T rounds the sum of all that arrived is within 1/2 + T/508 levels of the
    sum of
all changes.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from helpers.federated.quantization import check_quantized, dequantize, quantize
from helpers.federated.weights import ArraySpec, Schema, Weights, check_weights

UpdateDtype = Literal["float32", "float16", "int8"]
LARGEST_HALF = np.finfo(np.float16).max


def payload_schema(dtype: UpdateDtype, schema: Schema) -> Schema:
    """Return names, dtypes and shapes of what a client sends of a model with `schema`."""
    return tuple(part for spec in schema for part in _sent_parts(dtype, spec))


def state_schema(dtype: UpdateDtype, schema: Schema) -> Schema:
    """Return names, dtypes and shapes of the error feedback that a client keeps; empty where it keeps
    none.
    """
    if dtype != "int8":
        return ()
    return tuple(part for spec in schema if _is_compressed(dtype, spec) for part in _quantized_parts(spec))


def compress(
    dtype: UpdateDtype, schema: Schema, local: Weights, global_weights: Weights, state: Weights
) -> tuple[Weights, Weights]:
    """Return what a client sends, and its new error feedback.

    Args:
        dtype: UPDATE_DTYPE.
        schema: of the model.
        local: the client's weights after its training; fit `schema`.
        global_weights: those it started from.
        state: its error feedback; empty in its first round.

    Returns:
        Arrays that fit `payload_schema`, and arrays that fit `state_schema`.

    Raises:
        SchemaError: arrays that do not fit, or are not finite (`float32` is sent unchecked).
    """
    if dtype == "float32":
        return local, []
    check_weights(local, schema)
    check_weights(state, state_schema(dtype, schema) if state else ())
    payload: Weights = []
    new_state: Weights = []
    feedback = iter(state)
    for spec, new, old in zip(schema, local, global_weights, strict=True):
        if not _is_compressed(dtype, spec):
            payload.append(new)
            continue
        change = np.subtract(new, old, dtype=np.float32)
        if dtype == "float16":
            payload.append(np.clip(change, -LARGEST_HALF, LARGEST_HALF).astype(np.float16))
            continue
        if state:
            change += dequantize(spec.name, next(feedback), next(feedback))
        sent = quantize(change)
        payload.extend(sent)
        new_state.extend(quantize(change - dequantize(spec.name, *sent)))
    return payload, new_state


def decompress(dtype: UpdateDtype, schema: Schema, payload: Weights, global_weights: Weights) -> Weights:
    """Return the client's weights, up to the error of their compression.

    Args:
        dtype: UPDATE_DTYPE.
        schema: of the model.
        payload: as received; it fits `payload_schema`, its values are not trusted.
        global_weights: those the client started from; unused for `float32`.

    Raises:
        SchemaError: levels or scales that `compress` does not produce, or weights that are not finite.
    """
    if dtype == "float32":
        check_weights(payload, schema)
        return payload
    weights: Weights = []
    parts = iter(payload)
    for spec, old in zip(schema, global_weights, strict=True):
        if not _is_compressed(dtype, spec):
            weights.append(next(parts))
        elif dtype == "float16":
            weights.append(np.add(old, next(parts), dtype=np.float32))
        else:
            weights.append(np.add(old, dequantize(spec.name, next(parts), next(parts)), dtype=np.float32))
    check_weights(weights, schema)
    return weights


def check_state(schema: Schema, state: Weights) -> None:
    """Refuse a state that `compress` does not produce.

    Args:
        schema: `state_schema` of the run; `state` fits it.
        state: as received.

    Raises:
        SchemaError: naming the array.
    """
    for spec, levels, scale in zip(schema[::2], state[::2], state[1::2], strict=True):
        check_quantized(spec.name, levels, scale)


def _is_compressed(dtype: UpdateDtype, spec: ArraySpec) -> bool:
    return dtype != "float32" and spec.dtype == "float32" and len(spec.shape) > 1


def _sent_parts(dtype: UpdateDtype, spec: ArraySpec) -> Sequence[ArraySpec]:
    if not _is_compressed(dtype, spec):
        return [spec]
    return _quantized_parts(spec) if dtype == "int8" else [replace(spec, dtype="float16")]


def _quantized_parts(spec: ArraySpec) -> Sequence[ArraySpec]:
    """Return the specs of the levels, under the array's name, and of their scale."""
    return [replace(spec, dtype="int8"), ArraySpec(f"{spec.name}.scale", "float32", ())]
