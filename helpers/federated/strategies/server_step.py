"""A step of the server on the trainable arrays, from the mean of the clients' weights."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from helpers.federated.aggregation import chunks
from helpers.federated.strategies.base import ServerInputs
from helpers.federated.weights import Schema, SchemaError, Weights, check_weights

Array = NDArray[np.float64]
Step = Callable[[Array, Sequence[Array]], tuple[Array, list[Array]]]


def step_from_mean(
    step: Step, mean: Weights, state: Weights, server: ServerInputs, server_schema: Schema, advice: str
) -> tuple[Weights, Weights]:
    """Return the next global weights and the server's state, computed in float64 and rounded once.

    Args:
        step: returns what is added to a part of an array and its new state, from the mean change Δ of that
            part and its state before; all are float64 (N,).
        mean: of the clients' weights. Arrays that are not trained take it.
        state: fits `server_schema`, equally many arrays for each trainable one.
        server: of the round.
        server_schema: of the state.
        advice: what to do if a step leaves the range of the weights.

    Raises:
        SchemaError: arrays that do not fit, or a step beyond the range of their dtype.
    """
    check_weights(state, server_schema)
    each = len(state) // max(1, sum(server.trainable))
    remembered = iter(state)
    weights: Weights = []
    new_state: Weights = []
    with np.errstate(over="ignore", invalid="ignore"):  # checked below, with a better message
        for old, new, is_trained in zip(server.read_global_weights(), mean, server.trainable, strict=True):
            if not is_trained:
                weights.append(new)
                continue
            stepped, *own = _step_array(step, old, new, [next(remembered) for _ in range(each)])
            weights.append(stepped)
            new_state.extend(own)
    try:
        check_weights(weights, server.schema)
        check_weights(new_state, server_schema)
    except SchemaError as error:
        raise SchemaError(f"the server's step is out of range ({error}); {advice}") from None
    return weights, new_state


def _step_array(step: Step, old: NDArray[np.generic], mean: NDArray[np.generic], state: Weights) -> Weights:
    """Return one array after its step, and its new state, all of the dtype of the mean."""
    results = [np.empty(mean.size, mean.dtype) for _ in (mean, *state)]
    flat_old, flat_mean, *flat_state = (array.reshape(-1) for array in (old, mean, *state))
    for part in chunks(mean.size):
        change = np.subtract(flat_mean[part], flat_old[part], dtype=np.float64)
        before = [array[part].astype(np.float64) for array in flat_state]
        added, after = step(change, before)
        for result, values in zip(results, (np.add(flat_old[part], added), *after), strict=True):
            result[part] = values
    return [result.reshape(mean.shape) for result in results]
